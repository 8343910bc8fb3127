package bundle

// SetMaxUnpacked changes the bound of packed bundles until restore.
func SetMaxUnpacked(n int64) (restore func()) {
	old := maxUnpacked
	maxUnpacked = n
	return func() { maxUnpacked = old }
}

package traffic

// SetMaxSightings changes how many packets of a file are remembered, until restore.
func SetMaxSightings(n int) (restore func()) {
	old := maxSightings
	maxSightings = n
	return func() { maxSightings = old }
}

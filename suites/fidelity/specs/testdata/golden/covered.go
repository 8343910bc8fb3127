package golden

// Sign is what coverage is measured of.
func Sign(n int) string {
	switch {
	case n < 0:
		return "negative"
	case n > 0:
		return "positive"
	}
	return "zero"
}

package nsx

// Again is the probe that runs, for one that runs itself once more, further inside. A probe's function cannot name the
// variable that it is registered for.
func Again[In, Out any](parent *Parent) Probe[In, Out] { return Probe[In, Out]{parent.probe} }

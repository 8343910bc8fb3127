package probe

// Experiments are Trials that somebody makes in an environment. What is nil is concluded from what there is to read.
type Experiments struct {
	Proc, Sysfs, Overlay, Bridge, Veth, NFTables, TimeNS func() error
}

// Environment is the name of the finding that an environment could be opened, which is the caller's to add: it outweighs
// all that was concluded.
const Environment = "environment"

// Trials are e, and conclusions where it has none.
func (e Experiments) Trials() Trials { return experimentTrials{derivedTrials{live()}, e} }

type experimentTrials struct {
	derivedTrials
	made Experiments
}

func (t experimentTrials) Proc() error     { return first(t.made.Proc, t.derivedTrials.Proc) }
func (t experimentTrials) Sysfs() error    { return first(t.made.Sysfs, t.derivedTrials.Sysfs) }
func (t experimentTrials) Overlay() error  { return first(t.made.Overlay, t.derivedTrials.Overlay) }
func (t experimentTrials) Bridge() error   { return first(t.made.Bridge, t.derivedTrials.Bridge) }
func (t experimentTrials) Veth() error     { return first(t.made.Veth, t.derivedTrials.Veth) }
func (t experimentTrials) NFTables() error { return first(t.made.NFTables, t.derivedTrials.NFTables) }
func (t experimentTrials) TimeNS() error   { return first(t.made.TimeNS, t.derivedTrials.TimeNS) }

func (t experimentTrials) concludes(name string) bool {
	switch name {
	case "overlay":
		return t.made.Overlay == nil
	case "bridge":
		return t.made.Bridge == nil
	case "veth":
		return t.made.Veth == nil
	case "nftables":
		return t.made.NFTables == nil
	case "ns.time":
		return t.made.TimeNS == nil
	}
	return true
}

func first(made, derived func() error) error {
	if made != nil {
		return made()
	}
	return derived()
}

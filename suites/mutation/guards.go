package mutation

// A mutation leaves out one guard, and with it what cannot be done without.
type mutation struct {
	guard string
	also  string // what is left out too, separated by semicolons
	spec  string // the label of the spec that has to fail
	root  bool   // the machine's root alone has the guard
}

// mutations are what is left out, one after the other, and who notices.
var mutations = []mutation{
	{guard: "namespace uts", also: "set host name spec;set host name elsewhere", spec: "U1"},
}

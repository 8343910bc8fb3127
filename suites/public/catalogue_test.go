package public

// catalogue are the suites.
var catalogue = []module{
	{path: "github.com/onsi/gomega", version: "v1.38.3", suites: []suite{
		{pkg: "gbytes"},
		{pkg: "gcustom"},
	}},
}

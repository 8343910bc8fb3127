// Package report is what "nstest conform" finds out: the report as JSON, as a table, and compared with another one.
//
// # The JSON
//
// A report is one object. Its version is the number in schema: it grows when a field changes its meaning or goes, and not
// when one is added, so that readers ignore what they do not know. This is version 1.
//
//	schema      1
//	kind        "conform": specs were run; "target": what is around the process was looked at
//	nstest      the version of nstest
//	began       when, RFC 3339
//	machine
//	  architecture  as Go calls it: "amd64"
//	  distribution  PRETTY_NAME of os-release(5)
//	  uid           the effective user id
//	  privilege     "root" of the machine; "nested": root of a user namespace; "rootless": an ordinary user; "unknown"
//	  container     what the process seems to run in, such as "docker"; left out where nothing was recognised
//	  kernel
//	    release     as uname -r
//	    version     as uname -v
//	    config      the file that the options are from; left out where none can be read
//	    options     those that matter here, by name without CONFIG_: "y", "m", "n" or another value
//	properties  an array of
//	  id          the row of suites/property/properties.tsv, such as "U1"; left out where none fits, in a target's report
//	  check       what a target's report calls it, such as "uts"; left out otherwise. One of check and id is the key
//	  text        the property
//	  state       "pass", "fail", "absent" or "skipped"
//	  reason      in words, for all but "pass"
//	  evidence
//	    positive, negative  the controls: an array of what (the control), saw, none (why there is none), shown (true or false)
//	    seen                what a target's report has instead of controls
//	              saw and seen are arrays of what and value
//
// In a conform report "absent" is a property that the kernel is too old for, or that no spec is for; "skipped" is one that
// could not be tried here. In a target's report "pass" is isolated, "fail" not isolated, "absent" what this kernel does
// not have, and "skipped" what cannot be told from inside.
package report

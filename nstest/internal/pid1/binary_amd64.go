package pid1

import _ "embed"

//go:embed static/init_amd64.bin
var static []byte

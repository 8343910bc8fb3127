package pid1

import _ "embed"

//go:embed static/init_arm64.bin
var static []byte

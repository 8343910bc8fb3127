package nstest

import (
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/idmap"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// privileged reports whether this program may join namespaces of its own user namespace and below.
var privileged = sync.OnceValues(idmap.Privileged)

// notPrivileged is the kind of a wire error that is ErrNotPrivileged.
const notPrivileged = wire.KindNotPrivileged

package ipc
func registerListings() {}
func registerQueues() {}
func registerNotification() {}
func registerLifetime() {}
func registerSysctls() {}
func registerFiles() {}

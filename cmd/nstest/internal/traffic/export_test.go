package traffic

// SetMaxSightings changes how many packets of a file are remembered, until restore.
func SetMaxSightings(n int) (restore func()) {
	old := maxSightings
	maxSightings = n
	return func() { maxSightings = old }
}

// SetMaxTables changes how many bytes the tables of HPACK may have, until restore.
func SetMaxTables(n int) (restore func()) {
	old := maxTables
	maxTables = n
	return func() { maxTables = old }
}

// SetAgain changes after how many connections without room the first ones are asked for theirs again, until restore.
func SetAgain(n int) (restore func()) {
	old := again
	again = n
	return func() { again = old }
}

// ReadHTTP2 reads what a client and a server say, by turns in so many bytes, of which some are missing after so many.
func ReadHTTP2(client, server []byte, missing, after, size int) (messages int) {
	room := maxTables
	c := newHTTP2(&room)
	for len(client)+len(server) > 0 {
		for i, b := range []*[]byte{&client, &server} {
			n := min(size, len(*b))
			hole := 0
			if after -= n; after < 0 && missing > 0 {
				hole, missing = missing, 0
			}
			messages += len(c.read(&c.sides[i], hole, (*b)[:n]))
			*b = (*b)[n:]
		}
	}
	return messages
}

package nstest

import (
	"encoding/json"
	"strings"
	"testing"
)

// Programs with other versions of nstest are listed too.
func TestListOfALaterVersion(t *testing.T) {
	t.Parallel()
	d := json.NewDecoder(strings.NewReader(`{"Environments": [{"Number": 7, "Name": "theirs", "Mood": "good"}], "Weather": {"Rain": true}}`))
	d.DisallowUnknownFields()
	var a answered
	if err := d.Decode(&a); err != nil || len(a.Environments) != 1 || a.Environments[0].Number != 7 || a.Environments[0].Name != "theirs" {
		t.Errorf("got %+v, %v", a, err)
	}
}

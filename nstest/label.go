package nstest

import (
	"context"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A label says for List what runs in an environment, and where that is. The keeper is told some time later, and of many
// changes only the last: nobody finds those in a list that are over at once.
type label struct {
	env *Env

	mu   sync.Mutex
	news wire.NameParams // that the keeper has not heard
	due  bool            // it will, or is being told: what is newer comes later
	told bool            // it has heard something
}

const (
	unlisted = 300 * time.Millisecond // for how long what runs may have no name in a list
	unnoted  = 100 * time.Millisecond // for how long a later change is not in a list
)

func (l *label) name(what string) { l.change(func() { l.news.Name = what }) }

func (l *label) at(text, location string) {
	now := time.Now()
	l.change(func() { l.news.At = &wire.Position{Text: text, Location: location, Since: now} })
}

func (l *label) change(note func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	note()
	l.schedule()
}

// schedule has the keeper told, if nobody is about to do so. The mutex is held.
func (l *label) schedule() {
	if l.due {
		return
	}
	l.due = true
	wait := unlisted
	if l.told {
		wait = unnoted
	}
	time.AfterFunc(wait, l.tell)
}

// tell tells the keeper. If that has gone, there is no list either.
func (l *label) tell() {
	l.mu.Lock()
	news := l.news
	l.news, l.told = wire.NameParams{}, true
	l.mu.Unlock()
	_ = l.env.call(context.Background(), wire.MethodName, news, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due = false
	if l.news != (wire.NameParams{}) { // it has come meanwhile
		l.schedule()
	}
}

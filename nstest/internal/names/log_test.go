package names

import (
	"context"
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

func TestQueriesAreTheLastOnes(t *testing.T) {
	var z Zone
	var list []string
	for i := range 100 {
		list = append(list, fmt.Sprintf("many A 10.0.0.%d", i))
	}
	configure(t, &z, wire.DNS{Records: append(list, "long TXT "+text(255)+" "+text(255))})
	for i := range maxQueries + 10 {
		z.answer(context.Background(), "web", true, question(fmt.Sprintf("q%d", i), dns.TypeA))
	}
	z.answer(context.Background(), "web", false, question("many", dns.TypeA))
	z.answer(context.Background(), "web", false, question("long", dns.TypeTXT))
	got := z.Queries()
	if len(got) != maxQueries || got[0].Name != "q12." || got[maxQueries-3].Name != fmt.Sprintf("q%d.", maxQueries+9) {
		t.Fatalf("%d queries, from %v", len(got), got[0])
	}
	if many := got[maxQueries-2]; many.Name != "many." || len(many.Answers) != maxAnswers || many.Answers[0] != "many. 0 IN A 10.0.0.0" {
		t.Errorf("many answers: %v", many)
	}
	if long := got[maxQueries-1]; len(long.Answers) != 1 || long.Answers[0] != "long. 0 IN TXT …" {
		t.Errorf("a long answer: %v", long)
	}
}

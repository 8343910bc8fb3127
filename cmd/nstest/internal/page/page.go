// Package page writes what there is to tell of a bundle as a file of HTML that needs nothing else, and loads nothing.
//
// All texts of a bundle are hostile: html/template escapes them, the script sets them as texts alone, and the page's policy
// lets nothing run or load but the script and the style that are in it.
package page

import (
	"crypto/sha256"
	_ "embed" // of the assets
	"encoding/base64"
	"io"
	"strings"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

//go:embed assets/head.html
var headHTML string // of page and summary

//go:embed assets/page.html
var pageHTML string

//go:embed assets/page.css
var css string

//go:embed assets/page.js
var js string

// policy is a page's Content-Security-Policy: the style and the scripts of the page, images that are in it, and nothing else.
func policy(scripts ...string) string {
	p := []string{"default-src 'none'", "style-src " + hash(css), "img-src data:", "base-uri 'none'", "form-action 'none'"}
	for i, s := range scripts {
		scripts[i] = hash(s)
	}
	if len(scripts) > 0 {
		p = append(p, "script-src "+strings.Join(scripts, " "))
	}
	return strings.Join(p, "; ")
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Write writes the page of a bundle. version is that of nstest.
func Write(w io.Writer, b *bundle.Bundle, a *analysis.Analysis, version string) error {
	v, err := newView(b, a)
	if err != nil {
		return err
	}
	v.Version = version
	return execute(w, pageHTML, v)
}

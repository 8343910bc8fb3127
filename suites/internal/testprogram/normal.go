package testprogram

import (
	"regexp"
	"strings"
)

var (
	times     = regexp.MustCompile(`\(\d+\.\d\ds\)|\(\d+s\)|\d+\.\d\d\ds$|\s+[\d.]+ ns/op`)
	artifacts = regexp.MustCompile(`(/\S*/)?_artifacts/\S+`)
)

// Normal is output without what differs from run to run: times, and random names.
func Normal(output string) string {
	lines := strings.Split(output, "\n")
	for i, line := range lines {
		lines[i] = artifacts.ReplaceAllString(times.ReplaceAllString(line, "(TIME)"), "ARTIFACTS")
	}
	return strings.Join(lines, "\n")
}

// NormalEvents is events without what differs from run to run.
func NormalEvents(events []Event) []Event {
	var list []Event
	for _, e := range events {
		e.Output, e.Path = Normal(e.Output), Normal(e.Path)
		list = append(list, e)
	}
	return list
}

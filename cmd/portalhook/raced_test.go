//go:build race

package main_test

// raced says that the tests are built with the race detector; servers are then, too.
const raced = true

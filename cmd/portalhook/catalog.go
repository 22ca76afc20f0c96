package main

import (
	"fmt"
	"os"

	"portalhook/triggers"
)

// catalogWith is the catalogue of documented triggers, and with the operator's own event types where a file names them. The error
// says in which file, which event type and which of its members is wrong.
func catalogWith(file string) (*triggers.Catalog, error) {
	catalog := triggers.Default()
	if file == "" {
		return catalog, nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // the file that the operator names
	if err != nil {
		return nil, fmt.Errorf("--catalog: %w", err)
	}
	types, err := triggers.ParseCatalogFile(text)
	if err == nil {
		catalog, err = catalog.With(types)
	}
	if err != nil {
		return nil, fmt.Errorf("--catalog: %s: %w", file, err)
	}
	return catalog, nil
}

package triggers

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Entry is one subscribable trigger of the catalogue.
type Entry struct {
	Trigger     string // as printed in the documentation: /items/<itemID>/share, com.qlik.v1.app.created
	Name        string // as it can be subscribed, `*` for each placeholder: /items/*/share
	Title       string // what happens, in a few words
	Description string // what else one should know; may be empty
	Category    string
	Resource    string // portal (of `/`), items, groups, users, roles, services, cloud, webhooks
	Scope       string // any, specific
	Operation   string // * is every operation; empty for cloud types
	// Properties are the names that the events it hears may carry in `properties`.
	Properties []string
	// Levels are those at which a webhook may have it.
	Levels []Level
	Cloud  bool // a cloud type that is never sent in the legacy form
	// SampleEvent is one event that it hears, as a backend sends it. It must not be changed.
	SampleEvent []byte
}

// Catalog is the vocabulary: what there is to subscribe to. It never changes once made.
type Catalog struct {
	entries []Entry
	// names are the Names of entries, cloudNames those of cloud types.
	names, cloudNames []string
	cloud             map[string]*cloudType
}

// cloudType is what matching and payloads need of a cloud type of the catalogue.
type cloudType struct {
	name     string
	segments []string
	kind     CloudKind
}

// Default is the catalogue of the documented triggers, cloud types and our own.
func Default() *Catalog { return defaultCatalog() }

var defaultCatalog = sync.OnceValue(func() *Catalog {
	c, err := loadCatalog()
	if err != nil {
		panic(err) // the tables are part of the program, and the tests read every line
	}
	return c
})

// Entries are the triggers of the catalogue: `/`, the portal's, services', cloud types, our own. The slice is the caller's.
func (c *Catalog) Entries() []Entry { return slices.Clone(c.entries) }

// UserLevel reports whether webhooks of user level may hear of such an event at all: items, groups, and the cloud types that have
// that level.
func (c *Catalog) UserLevel(u *URI) bool {
	switch u.Resource {
	case Items, Groups:
		return true
	case CloudTypes:
		return c.cloudKind(u.ID).UserLevel
	case NoResource, Users, Roles, FeatureServices, Geoprocessing, Webhooks, resourceCount:
	}
	return false
}

// cloudName is the catalogue's own copy of the name of a cloud type; false when there is no such type.
func (c *Catalog) cloudName(text string) (string, bool) {
	t, ok := c.cloud[text]
	if !ok {
		return "", false
	}
	return t.name, true
}

// cloudKind is what payloads need to know of a cloud type; zero when there is no such type.
func (c *Catalog) cloudKind(name string) CloudKind {
	if t := c.cloud[name]; t != nil {
		return t.kind
	}
	return CloudKind{}
}

// cloudTypesFitting counts the cloud types that a trigger hears, and those among them that have the user level.
func (c *Catalog) cloudTypesFitting(t *Trigger) (fits, userLevel int) {
	for _, name := range c.cloudNames {
		known := c.cloud[name]
		if !known.fits(t) {
			continue
		}
		fits++
		if known.kind.UserLevel {
			userLevel++
		}
	}
	return fits, userLevel
}

func (k *cloudType) fits(t *Trigger) bool {
	if len(k.segments) < len(t.Path) || len(k.segments) > len(t.Path) != t.Rest {
		return false
	}
	for i, segment := range t.Path {
		if !segment.matches(k.segments[i], false) {
			return false
		}
	}
	return true
}

//go:embed catalog/*.tsv
var catalogFiles embed.FS

var categories = map[string]string{
	"portal": "Portal", itemsWord: "Items", groupsWord: "Groups", usersWord: "Users", rolesWord: "Roles",
	servicesWord: "Services", webhooksWord: "Webhooks",
}

func loadCatalog() (*Catalog, error) {
	samples := make(map[string]string)
	rows, err := readTable("properties.tsv", "property", "sample")
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		samples[row[0]] = row[1]
	}
	c := &Catalog{cloud: make(map[string]*cloudType)}
	for _, load := range []func() error{
		func() error { return c.loadPaths("portal.tsv", samples) },
		func() error { return c.loadPaths("services.tsv", samples) },
		c.loadCloud,
		func() error { return c.loadPaths("webhooks.tsv", samples) },
	} {
		if err := load(); err != nil {
			return nil, err
		}
	}
	for _, e := range c.entries {
		c.names = append(c.names, e.Name)
	}
	return c, nil
}

// loadPaths reads the triggers with a leading slash.
func (c *Catalog) loadPaths(file string, samples map[string]string) error {
	rows, err := readTable(file, "trigger", "title", "resource", "scope", "operation", "properties", "description")
	if err != nil {
		return err
	}
	for _, row := range rows {
		e := Entry{
			Trigger: row[0], Name: withoutPlaceholders(row[0]), Title: row[1], Resource: row[2], Scope: row[3], Operation: row[4],
			Description: row[6], Category: categories[row[2]], Levels: []Level{TenantLevel},
		}
		if row[5] != "" {
			e.Properties = strings.Split(row[5], ",")
		}
		if e.Resource == itemsWord || e.Resource == groupsWord {
			e.Levels = []Level{TenantLevel, UserLevel}
		}
		if e.SampleEvent, err = samplePathEvent(&e, samples); err != nil {
			return fmt.Errorf("%s: %s: %w", file, e.Trigger, err)
		}
		c.entries = append(c.entries, e)
	}
	return nil
}

// loadCloud reads the cloud types.
func (c *Catalog) loadCloud() error {
	rows, err := readTable("cloud.tsv", "type", "title", "category", "levels", "form", "source", "data", "description")
	if err != nil {
		return err
	}
	for _, row := range rows {
		e := Entry{
			Trigger: row[0], Name: row[0], Title: row[1], Category: row[2], Resource: cloudWord, Scope: "any",
			Levels: []Level{TenantLevel}, Cloud: row[4] == "cloud", Description: row[7],
			SampleEvent: sampleCloudEvent(row[0], row[5], row[6]),
		}
		if strings.HasPrefix(row[3], string(UserLevel)) {
			e.Levels = append(e.Levels, UserLevel)
		}
		c.entries = append(c.entries, e)
		c.cloudNames = append(c.cloudNames, e.Name)
		c.cloud[e.Name] = newCloudType(&e, row[5])
	}
	return nil
}

// newCloudType is what matching and payloads need of an entry; source is the CloudEvents source of events that name none.
func newCloudType(e *Entry, source string) *cloudType {
	return &cloudType{
		name: e.Name, segments: strings.Split(e.Name, "."),
		kind: CloudKind{Source: source, CloudOnly: e.Cloud, UserLevel: slices.Contains(e.Levels, UserLevel)},
	}
}

// readTable reads a table of the catalogue, whose first line must be the columns given.
func readTable(file string, columns ...string) ([][]string, error) {
	content, err := catalogFiles.ReadFile("catalog/" + file)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for i, line := range strings.Split(strings.TrimSuffix(string(content), "\n"), "\n") {
		cells := strings.Split(line, "\t")
		switch {
		case i == 0 && !slices.Equal(cells, columns):
			return nil, fmt.Errorf("%s: the columns are %q, not %q", file, cells, columns)
		case len(cells) != len(columns):
			return nil, fmt.Errorf("%s:%d: %d cells instead of %d", file, i+1, len(cells), len(columns))
		case i > 0:
			rows = append(rows, cells)
		}
	}
	return rows, nil
}

// withoutPlaceholders writes `*` for every segment in angle brackets.
func withoutPlaceholders(trigger string) string {
	segments := strings.Split(trigger, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "<") {
			segments[i] = "*"
		}
	}
	return strings.Join(segments, "/")
}

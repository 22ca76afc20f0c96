// Package triggers holds the words all other packages use: event URIs, triggers, events, webhooks and the catalogue.
package triggers

// Resource is the kind of thing an event happened to.
type Resource uint8

// The resources. Items to Roles are the portal's; `/` means those four.
const (
	NoResource Resource = iota
	Items
	Groups
	Users
	Roles
	FeatureServices // /services/[folder/]<name>/FeatureServer
	Geoprocessing   // /services/[folder/]<name>/GPServer
	CloudTypes      // com.qlik.v1.app.created and the like
	Webhooks        // our own: /webhooks/disable, /webhooks/enable, /webhooks/exhaust
	resourceCount
)

// ResourceCount is the number of Resource values, NoResource included: the length of an array indexed by Resource.
const ResourceCount = int(resourceCount)

// Operation is the position of an operation in the catalogue's list for its resource; it has meaning beside its resource only.
type Operation uint8

// OpSet is a set of the operations of one resource: bit n stands for Operation n.
type OpSet uint32

// Has reports whether op is in the set.
func (s OpSet) Has(op Operation) bool { return s>>op&1 != 0 }

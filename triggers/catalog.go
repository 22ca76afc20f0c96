package triggers

// Entry is one subscribable trigger of the catalogue.
type Entry struct {
	Trigger    string // as printed in the documentation: /items/<itemID>/share, FeaturesCreated's URI form, com.qlik.v1.app.created
	Name       string // as it can be subscribed, without placeholder: /items/*/share
	Title      string
	Category   string
	Resource   string // items, groups, users, roles, services, cloud, webhooks
	Scope      string // any, specific
	Operation  string // * is every operation
	Properties []string
	Levels     []Level
	Cloud      bool // a cloud type that is never sent in the legacy form
}

package triggers

// URI is the address of what happened, parsed and normalised: a URI in hand is valid.
type URI struct {
	Resource  Resource
	Operation Operation
	// Folder is the folder of a service, empty at the root and for every other resource.
	Folder string
	// ID is what it happened to, as the sender spelt it: an item, group or role id, a user name, a service name, a cloud event type,
	// a webhook id. Empty for bulk events.
	ID string

	// key and folderKey are ID and Folder under the resource's rule of comparison, folded once here so that matching never folds.
	key, folderKey string
}

// Key is ID under the resource's rule of comparison: simple case folding for items, groups, users, services and webhooks, the text
// itself for roles and cloud types.
func (u URI) Key() string { return u.key }

// FolderKey is Folder under the rule of comparison.
func (u URI) FolderKey() string { return u.folderKey }

// Package payload turns accepted events into the signed bytes that a receiver reads.
//
// Render makes of one event the object that stands for it, once, at acceptance. Build puts such objects into the envelope of a
// webhook, Sign makes the headers of an attempt; both are pure, so a body is never stored and always comes out the same.
//
// # Properties
//
// What receivers are promised of an operation comes first in the event's properties. A backend sends it ready made under its own
// name, or as one of the facts beside it; where the property is ready made nothing else is read, else the first fact that is there.
// A list may be an array or a single element. It keeps the sender's order without duplicates. A fact that was read does not pass
// through; every other member does, untouched and in the sender's order.
//
//	items/share                  sharedToGroups            access, groups
//	items/unshare                unsharedFromGroups        access, groups
//	items/reassign               reassignedTo              newOwner
//	groups/reassign              reassignedTo (optional)   newOwner
//	groups/invite                invitedUserNames          users, username
//	groups/addUsers              addedUserNames            users, username
//	groups/removeUsers           removedUserNames          users, username
//	groups/updateUsers           updatedUserNames          users, username
//	groups/itemShare             sharedItems               items, item
//	groups/itemUnshare           unsharedItems             items, item
//	users/updateUserRole         userRoleUpdatedTo         role, roleName
//	users/updateUserLicenseType  userLicenseTypeUpdatedTo  licenseType, userLicenseType
//	roles/add                    name                      role, roleName
//
// The access is whom an item was given to, or taken from: public is Everyone, org is Organization, shared and private are nobody
// beside the groups. From facts the order is Everyone, Organization, the groups. In sharing nobody is an answer (private without
// groups, or an empty list) and gives an empty array; shared must name a group; every other list must not be empty.
//
// An item is an object with itemId and itemType, or id and type; its further members follow these two. It is known by its id.
package payload

import "portalhook/triggers"

// Version is the builder's version. Bytes of a delivery must come out the same for ever, so a change of any builder's output
// takes a new number and leaves the old path in place.
const Version = 1

// Revision is what a webhook contributes to its payloads and to its history, fixed when its deliveries are made. It is stored
// once per change of a webhook, as JSON.
type Revision struct {
	Number      int64              `json:"-"` // the store's
	Builder     int                `json:"builder"`
	WebhookID   triggers.WebhookID `json:"webhookId"`
	WebhookName string             `json:"webhookName"`
	PortalURL   string             `json:"portalUrl"`
	Format      triggers.Format    `json:"format"`
	Triggers    []string           `json:"triggers"`
	URL         string             `json:"url"`
	// Headers are shown in the history: name and value, the value of an encrypted one as **OMITTED**.
	Headers [][2]string `json:"headers,omitempty"`
}

// Event is a stored event as payloads need it.
type Event struct {
	ID      triggers.ID
	EventID string
	Source  string
	URI     triggers.URI
	// Body is what Render gave at acceptance.
	Body []byte
}

// Package triggers holds the words all other packages use: event URIs, triggers, events, webhooks and the catalogue.
package triggers

import "math/bits"

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

// The first segments of URIs that name a resource.
const (
	itemsWord    = "items"
	groupsWord   = "groups"
	usersWord    = "users"
	rolesWord    = "roles"
	servicesWord = "services"
	cloudWord    = "cloud"
	webhooksWord = "webhooks"
)

// The segments that tell the two kinds of services apart.
const (
	featureServer = "FeatureServer"
	gpServer      = "GPServer"
)

var resourceWords = [resourceCount]string{
	Items: itemsWord, Groups: groupsWord, Users: usersWord, Roles: rolesWord, FeatureServices: servicesWord,
	Geoprocessing: servicesWord, CloudTypes: cloudWord, Webhooks: webhooksWord,
}

// String is the resource's segment in a URI: items, groups, users, roles, services (for both kinds) or webhooks; cloud for cloud
// types, which have no such segment; empty for NoResource.
func (r Resource) String() string {
	if r >= resourceCount {
		return ""
	}
	return resourceWords[r]
}

// IsPortal reports whether `/` hears the resource: items, groups, users and roles.
func (r Resource) IsPortal() bool { return r >= Items && r <= Roles }

// folds reports whether ids of the resource compare by simple case folding; roles and cloud types compare exactly.
func (r Resource) folds() bool { return r != Roles && r != CloudTypes }

// resourceNamed finds the resource that a first segment names, in any ASCII case; both kinds of services answer FeatureServices.
func resourceNamed(word string) (Resource, bool) {
	switch word {
	case itemsWord:
		return Items, true
	case groupsWord:
		return Groups, true
	case usersWord:
		return Users, true
	case rolesWord:
		return Roles, true
	case servicesWord:
		return FeatureServices, true
	case webhooksWord:
		return Webhooks, true
	}
	for _, r := range [...]Resource{Items, Groups, Users, Roles, FeatureServices, Webhooks} {
		if equalFoldASCII(word, resourceWords[r]) {
			return r, true
		}
	}
	return NoResource, false
}

// Operation is the position of an operation in the catalogue's list for its resource; it has meaning beside its resource only.
type Operation uint8

// The operations of Items.
const (
	ItemsAdd Operation = iota
	ItemsDelete
	ItemsUpdate
	ItemsMove
	ItemsPublish
	ItemsShare
	ItemsUnshare
	ItemsReassign
	ItemsAddComment
	ItemsDeleteComment
	ItemsUpdateComment
)

// The operations of Groups.
const (
	GroupsAdd Operation = iota
	GroupsUpdate
	GroupsDelete
	GroupsProtect
	GroupsUnprotect
	GroupsInvite
	GroupsAddUsers
	GroupsRemoveUsers
	GroupsUpdateUsers
	GroupsReassign
	GroupsItemShare
	GroupsItemUnshare
	GroupsRequestJoin
)

// The operations of Users. The bulk ones are done to a list of accounts: their events have no id.
const (
	UsersAdd Operation = iota
	UsersSignIn
	UsersSignOut
	UsersDelete
	UsersUpdate
	UsersDisable
	UsersEnable
	UsersUpdateUserRole
	UsersUpdateUserLicenseType
	UsersBulkEnable
	UsersBulkDisable
)

// The operations of Roles.
const (
	RolesAdd Operation = iota
	RolesUpdate
	RolesDelete
)

// The operations of FeatureServices: the change types.
const (
	FeaturesCreated Operation = iota
	FeaturesUpdated
	FeaturesDeleted
	FeaturesEdited // a trigger on it also hears the three above
	AttachmentsCreated
	AttachmentsUpdated
	AttachmentsDeleted
	LayerSchemaChanged
	LayerDefinitionChanged
	FeatureServiceDefinitionChanged
	FeaturesPosted
)

// The operations of Geoprocessing, CloudTypes and Webhooks.
const (
	// GeoprocessingComplete is the one event of an asynchronous job: it has succeeded, failed or been cancelled.
	GeoprocessingComplete Operation = 0
	// CloudEmit is the one operation of cloud types, whose name already says what happened.
	CloudEmit Operation = 0

	WebhooksDisable Operation = 0
	WebhooksEnable  Operation = 1
	WebhooksExhaust Operation = 2
)

// operationNames are the catalogue's spellings. Of sign-in and sign-out this is the one that specific triggers have.
var operationNames = [resourceCount][]string{
	Items: {
		"add", "delete", "update", "move", "publish", "share", "unshare", "reassign", "addComment", "deleteComment", "updateComment",
	},
	Groups: {
		"add", "update", "delete", "protect", "unprotect", "invite", "addUsers", "removeUsers", "updateUsers", "reassign", "itemShare",
		"itemUnshare", "requestJoin",
	},
	Users: {
		"add", "signIn", "signOut", "delete", "update", "disable", "enable", "updateUserRole", "updateUserLicenseType", "bulkEnable",
		"bulkDisable",
	},
	Roles: {"add", "update", "delete"},
	FeatureServices: {
		"FeaturesCreated", "FeaturesUpdated", "FeaturesDeleted", "FeaturesEdited", "AttachmentsCreated", "AttachmentsUpdated",
		"AttachmentsDeleted", "LayerSchemaChanged", "LayerDefinitionChanged", "FeatureServiceDefinitionChanged", "FeaturesPosted",
	},
	Geoprocessing: {"complete"},
	CloudTypes:    {""},
	Webhooks:      {"disable", "enable", "exhaust"},
}

// OperationName is the catalogue's spelling: share, signIn, FeaturesCreated; complete for geoprocessing, empty for cloud types and
// for what is no operation of the resource.
func OperationName(r Resource, op Operation) string {
	if r >= resourceCount || int(op) >= len(operationNames[r]) {
		return ""
	}
	return operationNames[r][op]
}

// PayloadOperation is the spelling that payloads carry, which is also that of the any form: as OperationName, but signin and signout.
func PayloadOperation(r Resource, op Operation) string {
	if r == Users {
		if op == UsersSignIn {
			return "signin"
		}
		if op == UsersSignOut {
			return "signout"
		}
	}
	return OperationName(r, op)
}

// IsBulk reports whether events of the operation have no id.
func IsBulk(r Resource, op Operation) bool {
	return r == Users && (op == UsersBulkEnable || op == UsersBulkDisable)
}

// operationNamed finds the operation of a resource by its name in any ASCII case.
func operationNamed(r Resource, word string) (Operation, bool) {
	for op, name := range operationNames[r] {
		if len(name) == len(word) && (name == word || equalFoldASCII(name, word)) {
			return Operation(op), true
		}
	}
	return 0, false
}

// OpSet is a set of the operations of one resource: bit n stands for Operation n.
type OpSet uint32

// Has reports whether op is in the set.
func (s OpSet) Has(op Operation) bool { return s>>op&1 != 0 }

// Len is the number of operations in the set.
func (s OpSet) Len() int { return bits.OnesCount32(uint32(s)) }

// Ops is the set of the operations given.
func Ops(ops ...Operation) OpSet {
	var s OpSet
	for _, op := range ops {
		s |= 1 << op
	}
	return s
}

// AllOperations is the set of every operation of a resource, bulk ones included.
func AllOperations(r Resource) OpSet {
	if r >= resourceCount {
		return 0
	}
	return 1<<len(operationNames[r]) - 1
}

// withID is the set of the operations whose events have an id.
func withID(r Resource) OpSet {
	all := AllOperations(r)
	if r == Users {
		all &^= Ops(UsersBulkEnable, UsersBulkDisable)
	}
	return all
}

// isAdd reports whether a set is the operation that makes a new thing, alone: the first of each portal resource.
func isAdd(r Resource, s OpSet) bool { return r.IsPortal() && s == Ops(ItemsAdd) }

// widen adds what an operation implies: FeaturesEdited also hears the three edits it sums up.
func widen(r Resource, s OpSet) OpSet {
	if r == FeatureServices && s.Has(FeaturesEdited) {
		s |= Ops(FeaturesCreated, FeaturesUpdated, FeaturesDeleted)
	}
	return s
}

// equalFoldASCII compares under ASCII case folding only: Kelvin signs and long s stay themselves in words of the catalogue.
func equalFoldASCII(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lowerASCII(a[i]) != lowerASCII(b[i]) {
			return false
		}
	}
	return true
}

func lowerASCII(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

package payload_test

import (
	"fmt"
	"time"

	"portalhook/payload"
	"portalhook/triggers"
)

// An item is shared: from what the backend posts to the bytes and the headers of the first attempt.
func Example() {
	accepted := time.UnixMilli(1543192196530)
	event, err := triggers.Default().ParseEvent([]byte(`{"uri":"/items/4adc30bb03054812a846fa592de105de/share",
		"username":"jdoe", "when":1543192196521, "properties":{"access":"public","groups":["a4e6e37e2f7d4bb5b64d587c91d39a2c"]}}`))
	if err != nil {
		panic(err)
	}
	object, err := payload.Render(event, accepted)
	if err != nil {
		panic(err)
	}

	revision := &payload.Revision{
		Builder: payload.Version, WebhookName: "auditor", PortalURL: "https://orgURL/portal/", Format: triggers.FormatAuto,
	}
	body, err := payload.Build(nil, revision, accepted, []payload.Event{{URI: event.URI, Body: object}})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", body)
	for _, header := range payload.Sign(payload.Signing{
		Secrets: []triggers.Secret{triggers.NewSecret("0123456789abcdef0123456789abcdef")},
		ID:      "dlv_0123456789abc", At: accepted, Body: body,
	}) {
		fmt.Printf("%s: %s\n", header[0], header[1])
	}
	// Output:
	// {"info":{"webhookName":"auditor","webhookId":"00000000000000000000000000000000","portalURL":"https://orgURL/portal/","when":1543192196530},"events":[{"username":"jdoe","userId":"","when":1543192196521,"operation":"share","source":"items","id":"4adc30bb03054812a846fa592de105de","properties":{"sharedToGroups":["Everyone","a4e6e37e2f7d4bb5b64d587c91d39a2c"]}}],"properties":{}}
	// webhook-id: dlv_0123456789abc
	// webhook-timestamp: 1543192196
	// webhook-signature: v1,En556h4tLO6Q5sU0OnMxlVk+6UpMxfp48L/QNPHcN7Y=
	// x-esriHook-Signature: sha256=OBuVr++nyE8VLW+qrljV0UZdIginBnN1i6Er0FfgAvQ=
}

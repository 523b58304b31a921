package arrive

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// objectName names one object of S3.
type objectName struct{ bucket, key string }

// maxNotice bounds a message, and maxNamed the objects it may name.
const (
	maxNotice = 1 << 20
	maxNamed  = 1000
)

// notice is every shape of message that says which objects are new: S3's own
// events, the same from EventBridge, CloudTrail's, and any of them inside SNS.
type notice struct {
	// SNS
	Type    string
	Message *string
	// S3
	Event   string // s3:TestEvent
	Records []struct {
		EventSource string `json:"eventSource"`
		EventName   string `json:"eventName"`
		S3          struct {
			Bucket struct{ Name string } `json:"bucket"`
			Object struct{ Key string }  `json:"object"`
		} `json:"s3"`
	}
	// EventBridge
	DetailType string `json:"detail-type"`
	Detail     struct {
		Bucket struct{ Name string } `json:"bucket"`
		Object struct{ Key string }  `json:"object"`
	} `json:"detail"`
	// CloudTrail
	S3Bucket    string   `json:"s3Bucket"`
	S3ObjectKey []string `json:"s3ObjectKey"`
}

// parseNotice returns the objects that a message names: none where it is about
// something else that such queues get, such as a test or a deletion.
func parseNotice(message string) ([]objectName, error) {
	if len(message) > maxNotice {
		return nil, fmt.Errorf("a message of %d bytes", len(message))
	}
	var n notice
	if err := json.Unmarshal([]byte(message), &n); err != nil {
		return nil, fmt.Errorf("no notification: %w", err)
	}
	if n.Message != nil {
		inner := *n.Message
		n = notice{}
		if err := json.Unmarshal([]byte(inner), &n); err != nil {
			return nil, fmt.Errorf("no notification inside SNS: %w", err)
		}
	}
	return n.objects()
}

func (n *notice) objects() (all []objectName, err error) {
	switch {
	case n.Event == "s3:TestEvent", n.DetailType != "" && n.DetailType != "Object Created":
		return nil, nil
	case n.DetailType != "": // here keys are as they are
		all = append(all, objectName{n.Detail.Bucket.Name, n.Detail.Object.Key})
	case len(n.S3ObjectKey) > 0:
		for _, key := range n.S3ObjectKey {
			all = append(all, objectName{n.S3Bucket, key})
		}
	case len(n.Records) > 0:
		for _, r := range n.Records {
			key, err := url.QueryUnescape(r.S3.Object.Key)
			if err != nil {
				return nil, fmt.Errorf("key %.200q: %w", r.S3.Object.Key, err)
			}
			if strings.HasPrefix(strings.TrimPrefix(r.EventName, "s3:"), "ObjectCreated:") {
				all = append(all, objectName{r.S3.Bucket.Name, key})
			}
		}
	default:
		return nil, errors.New("no notification that is known")
	}
	if len(all) > maxNamed {
		return nil, fmt.Errorf("a message that names %d objects", len(all))
	}
	for _, o := range all {
		if o.bucket == "" || o.key == "" {
			return nil, errors.New("a notification without bucket or key")
		}
	}
	return all, nil
}

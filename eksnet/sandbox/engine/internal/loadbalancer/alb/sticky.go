package alb

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/targets"
)

// The cookies that bind a client to a target, and to a target group of a rule with several.
const (
	targetCookie = "AWSALB"
	groupCookie  = "AWSALBTG"
)

// kept is how long a browser keeps such a cookie, whatever the duration of the binding.
const kept = 7 * 24 * time.Hour

// binding is what a cookie says.
type binding struct {
	// Group is an ARN; Target is a key in it, or nothing.
	Group  string    `json:"g"`
	Target string    `json:"t"`
	Until  time.Time `json:"u"`
}

// sealer encrypts cookies with a key that ends with the process.
var sealer = newSealer()

func newSealer() cipher.AEAD {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has the right length
	}
	made, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return made
}

func (b binding) seal() string {
	text, _ := json.Marshal(b)
	return base64.RawURLEncoding.EncodeToString(sealer.Seal(nil, nil, text, nil))
}

// bindingOf reads a cookie. One that cannot be read or that has expired binds to nothing.
func bindingOf(r *http.Request, name string) binding {
	var none, found binding
	cookie, err := r.Cookie(name)
	if err != nil {
		return none
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return none
	}
	text, err := sealer.Open(nil, nil, sealed, nil)
	if err != nil || json.Unmarshal(text, &found) != nil || time.Now().After(found.Until) {
		return none
	}
	return found
}

// cookies returns the cookie, and the one that browsers need for requests across origins.
func cookies(name string, b binding) []*http.Cookie {
	value, expires := b.seal(), time.Now().Add(kept)
	return []*http.Cookie{
		{Name: name, Value: value, Expires: expires, Path: "/"},
		{Name: name + "CORS", Value: value, Expires: expires, Path: "/", SameSite: http.SameSiteNoneMode, Secure: true},
	}
}

// chooseGroup returns the target group that gets a request, and the cookies that bind the client to it.
func (l *listener) chooseGroup(r *http.Request, action desired.Action) (*targets.Group, []*http.Cookie) {
	groups := weightedGroups(action)
	sticky := len(groups) > 1 && bool(action.ForwardConfig.TargetGroupStickinessConfig.Enabled)
	arn := ""
	if sticky {
		arn = boundGroup(r, groups)
	}
	if arn == "" {
		arn = pickWeighted(groups)
	}
	group := l.registry.Group(arn)
	if group == nil || !sticky {
		return group, nil
	}
	lasting := time.Duration(action.ForwardConfig.TargetGroupStickinessConfig.DurationSeconds) * time.Second
	return group, cookies(groupCookie, binding{Group: arn, Until: time.Now().Add(lasting)})
}

func boundGroup(r *http.Request, groups []desired.WeightedGroup) string {
	bound := bindingOf(r, groupCookie).Group
	for _, group := range groups {
		if group.TargetGroupARN == bound {
			return bound
		}
	}
	return ""
}

// chooseTarget returns the target that gets a request, and the cookies that bind the client to it.
func chooseTarget(r *http.Request, group *targets.Group, zone string) (*targets.Target, []*http.Cookie) {
	attributes := group.Settings().Attributes
	if !attributes.Enabled("stickiness.enabled", false) || attributes["stickiness.type"] == "app_cookie" {
		return group.Pick(zone), nil
	}
	var target *targets.Target
	if bound := bindingOf(r, targetCookie); bound.Group == group.ARN {
		target = group.Find(zone, bound.Target)
	}
	if target == nil {
		target = group.Pick(zone)
	}
	if target == nil {
		return nil, nil
	}
	lasting := attributes.Seconds("stickiness.lb_cookie.duration_seconds", 86400)
	return target, cookies(targetCookie, binding{group.ARN, target.Key(), time.Now().Add(lasting)})
}

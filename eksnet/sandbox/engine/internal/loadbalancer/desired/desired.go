// Package desired is what the load balancers shall do: the file that the AWS side writes, and whose
// conditions, actions and transforms are those of ELBv2's API.
package desired

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// State is the whole file, as far as the data plane reads it.
type State struct {
	Region        string         `json:"region"`
	LoadBalancers []LoadBalancer `json:"load_balancers"`
	TargetGroups  []TargetGroup  `json:"target_groups"`
}

// The types of load balancers: those that speak HTTP, and those that the router carries.
const (
	Application = "application"
	Network     = "network"
)

const crossZone = "load_balancing.cross_zone.enabled"

// LoadBalancer is one load balancer of the account.
type LoadBalancer struct {
	ARN        string     `json:"arn"`
	Name       string     `json:"name"`
	Type       string     `json:"type"`
	Scheme     string     `json:"scheme"`
	DNSName    string     `json:"dns_name"`
	Attributes Attributes `json:"attributes"`
	Zones      []Zone     `json:"zones"`
	Listeners  []Listener `json:"listeners"`
}

// Internal tells whether only the VPC reaches it.
func (l LoadBalancer) Internal() bool { return l.Scheme == "internal" }

// CrossZone tells whether each zone's node sends to the targets of all zones, if the target group says
// nothing else. It is the default of an Application Load Balancer.
func (l LoadBalancer) CrossZone() bool { return l.Attributes.Enabled(crossZone, l.Type != Network) }

// Zone is a zone in which a load balancer has an interface.
type Zone struct {
	Zone string `json:"zone"`
	// Private is the interface's address, the source of all that the load balancer sends to targets.
	Private string `json:"private"`
	// Public is nothing for an internal load balancer.
	Public string `json:"public"`
}

// Addresses returns where the load balancer listens in this zone.
func (z Zone) Addresses() []string {
	all := []string{z.Private, z.Public}
	return slices.DeleteFunc(all, func(address string) bool { return address == "" })
}

// Listener is a port of a load balancer, with its rules.
type Listener struct {
	ARN          string        `json:"arn"`
	Port         int           `json:"port"`
	Protocol     string        `json:"protocol"`
	SSLPolicy    string        `json:"ssl_policy"`
	Attributes   Attributes    `json:"attributes"`
	Certificates []Certificate `json:"certificates"`
	Rules        []Rule        `json:"rules"`
}

// Certificate is a certificate of a listener, with its key.
type Certificate struct {
	ARN     string   `json:"arn"`
	Default bool     `json:"default"`
	Names   []string `json:"names"`
	Chain   string   `json:"chain"`
	Key     string   `json:"key"`
}

// TargetGroup is a set of targets and how they are asked for their health.
type TargetGroup struct {
	ARN             string      `json:"arn"`
	Name            string      `json:"name"`
	Protocol        string      `json:"protocol"`
	ProtocolVersion string      `json:"protocol_version"`
	HealthCheck     HealthCheck `json:"health_check"`
	Attributes      Attributes  `json:"attributes"`
	// UsedBy are the ARNs of the load balancers that send it traffic.
	UsedBy  []string `json:"used_by"`
	Targets []Target `json:"targets"`
}

// DeregistrationDelay is how long a target drains.
func (g TargetGroup) DeregistrationDelay() time.Duration {
	return g.Attributes.Seconds("deregistration_delay.timeout_seconds", 300)
}

// CrossZone tells whether each zone's node sends to the targets of all zones: as the group says, or else
// as the load balancers that use it.
func (g TargetGroup) CrossZone(users []LoadBalancer) bool {
	crosses := !slices.ContainsFunc(users, func(l LoadBalancer) bool { return !l.CrossZone() })
	return g.Attributes.Enabled(crossZone, crosses)
}

// Layer4 tells whether its load balancer passes on connections, and not requests.
func (g TargetGroup) Layer4() bool { return g.Protocol != "HTTP" && g.Protocol != "HTTPS" }

// HealthCheck is how a target group's targets are asked.
type HealthCheck struct {
	Enabled  bool   `json:"enabled"`
	Protocol string `json:"protocol"`
	Path     string `json:"path"`
	// Port is a number or TrafficPort.
	Port Text `json:"port"`
	// Interval and Timeout are in seconds.
	Interval Number `json:"interval"`
	Timeout  Number `json:"timeout"`
	// Healthy and Unhealthy are how many checks in a row change a target's state.
	Healthy   Number `json:"healthy"`
	Unhealthy Number `json:"unhealthy"`
	// Matcher lists codes and ranges, such as 200,300-399.
	Matcher string `json:"matcher"`
}

// TrafficPort is a health check's port when it is the one that gets the requests.
const TrafficPort = "traffic-port"

// Target is one address and port of a target group.
type Target struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Port    int    `json:"port"`
	// Zone is AnyZone for an address outside the VPC.
	Zone string `json:"zone"`
	// DrainingSince is when it was deregistered, or nothing.
	DrainingSince *Time `json:"draining_since"`
}

// AnyZone is the zone of targets outside the VPC.
const AnyZone = "all"

// Key names the target in its group.
func (t Target) Key() string { return t.ID + ":" + strconv.Itoa(t.Port) }

// Attributes are attributes as the API names them.
type Attributes map[string]string

// Enabled tells whether an attribute is true.
func (a Attributes) Enabled(name string, otherwise bool) bool {
	switch a[name] {
	case "true":
		return true
	case "false":
		return false
	default:
		return otherwise
	}
}

// Seconds returns an attribute that is a number of seconds.
func (a Attributes) Seconds(name string, otherwise int) time.Duration {
	return time.Duration(a.Number(name, otherwise)) * time.Second
}

// Number returns an attribute that is a number. What is none, such as `off`, gives the default.
func (a Attributes) Number(name string, otherwise int) int {
	if number, err := strconv.Atoi(a[name]); err == nil {
		return number
	}
	return otherwise
}

// Number is a number that the API gives as one or as text.
type Number int

// UnmarshalJSON reads 5 and "5".
func (n *Number) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if text == "" || text == "null" {
		return nil
	}
	number, err := strconv.Atoi(text)
	*n = Number(number)
	return err
}

// Time is a moment in UTC, written with or without its zone.
type Time struct{ time.Time }

// UnmarshalJSON reads 2026-01-01T00:00:00Z, +00:00 or neither.
func (t *Time) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
		if moment, err := time.Parse(form, text); err == nil {
			t.Time = moment
			return nil
		}
	}
	return fmt.Errorf("%q is no moment; expected one like 2026-01-01T00:00:00Z", text)
}

// Text is a text that may be written as a number.
type Text string

// UnmarshalJSON reads "8080" and 8080.
func (t *Text) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if data[0] == '"' {
		return json.Unmarshal(data, (*string)(t))
	}
	*t = Text(data)
	return nil
}

// Flag is a truth value that the API gives as one or as text.
type Flag bool

// UnmarshalJSON reads true and "true".
func (f *Flag) UnmarshalJSON(data []byte) error {
	*f = strings.Trim(string(data), `"`) == "true"
	return nil
}

// Read loads the file. What is wrong with one load balancer or target group does not keep the others
// from being read: it is in the list, and an error is only what spoils the whole file.
func Read(path string) (state State, wrong []error, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return state, nil, err
	}
	var raw struct {
		Region        string            `json:"region"`
		LoadBalancers []json.RawMessage `json:"load_balancers"`
		TargetGroups  []json.RawMessage `json:"target_groups"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return state, nil, fmt.Errorf("read %s: %w", path, err)
	}
	state.Region = raw.Region
	state.LoadBalancers, wrong = decode[LoadBalancer](raw.LoadBalancers)
	groups, more := decode[TargetGroup](raw.TargetGroups)
	state.TargetGroups = groups
	return state, append(wrong, more...), nil
}

func decode[Kind any](raw []json.RawMessage) (all []Kind, wrong []error) {
	for _, text := range raw {
		var one Kind
		if err := json.Unmarshal(text, &one); err != nil {
			wrong = append(wrong, fmt.Errorf("%.100s…: %w", text, err))
			continue
		}
		all = append(all, one)
	}
	return all, wrong
}

package desired

import (
	"encoding/json"
	"math"
)

// Rule is a rule of a listener, as DescribeRules gives it.
type Rule struct {
	ARN        string      `json:"arn"`
	Priority   Priority    `json:"priority"`
	Conditions []Condition `json:"conditions"`
	Actions    []Action    `json:"actions"`
	Transforms []Transform `json:"transforms"`
}

// Priority orders rules; the default rule has Last.
type Priority int

// Last is the priority of a listener's default rule.
const Last Priority = math.MaxInt

// UnmarshalJSON reads 5, "5" and "default".
func (p *Priority) UnmarshalJSON(data []byte) error {
	if string(data) == `"default"` {
		*p = Last
		return nil
	}
	var number Number
	err := json.Unmarshal(data, &number)
	*p = Priority(number)
	return err
}

// Condition is one condition of a rule; the field says which of the others counts.
type Condition struct {
	Field                   string
	Values                  []string
	RegexValues             []string
	HostHeaderConfig        *Patterns
	PathPatternConfig       *Patterns
	HTTPHeaderConfig        *Patterns `json:"HttpHeaderConfig"`
	HTTPRequestMethodConfig *Patterns `json:"HttpRequestMethodConfig"`
	SourceIPConfig          *Patterns `json:"SourceIpConfig"`
	QueryStringConfig       *QueryStringConfig
}

// Patterns are what a condition compares with. One that holds is enough.
type Patterns struct {
	HTTPHeaderName string `json:"HttpHeaderName"`
	Values         []string
	RegexValues    []string
}

// QueryStringConfig is the configuration of a condition on the query string.
type QueryStringConfig struct{ Values []Pair }

// Pair is a parameter of a query string. Without a key every parameter is compared.
type Pair struct{ Key, Value string }

// Action is what a rule does with a request.
type Action struct {
	Type                string
	Order               Number
	TargetGroupARN      string `json:"TargetGroupArn"`
	ForwardConfig       *ForwardConfig
	RedirectConfig      *RedirectConfig
	FixedResponseConfig *FixedResponseConfig
}

// ForwardConfig names target groups and their shares.
type ForwardConfig struct {
	TargetGroups                []WeightedGroup
	TargetGroupStickinessConfig struct {
		Enabled         Flag
		DurationSeconds Number
	}
}

// WeightedGroup is a target group and its share of the requests.
type WeightedGroup struct {
	TargetGroupARN string `json:"TargetGroupArn"`
	// Weight is nothing where the API did not get one.
	Weight *Number
}

// RedirectConfig is where a redirect leads.
type RedirectConfig struct {
	Protocol, Host, Path, Query, StatusCode string
	Port                                    Text
}

// FixedResponseConfig is an answer of the load balancer's own.
type FixedResponseConfig struct {
	MessageBody, ContentType string
	StatusCode               Number
}

// Transform rewrites a request before it is forwarded.
type Transform struct {
	Type                    string
	HostHeaderRewriteConfig *RewriteConfig
	URLRewriteConfig        *RewriteConfig `json:"UrlRewriteConfig"`
}

// RewriteConfig is a transform's configuration: the API takes one rewrite.
type RewriteConfig struct{ Rewrites []Rewrite }

// Rewrite replaces what a regular expression matches.
type Rewrite struct{ Regex, Replace string }

package rules

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"eksnet.dev/engine/internal/loadbalancer/desired"
)

// Rule is a rule that is ready to be asked.
type Rule struct {
	// Action is the last of its actions, which answers the request.
	Action desired.Action
	// Before names an action before that one, which would have to let the request pass, or nothing.
	Before     string
	conditions []condition
	transforms []transform
}

// Rules are a listener's rules in their order.
type Rules []*Rule

// Compile makes a listener's rules ready.
func Compile(given []desired.Rule) (Rules, error) {
	ordered := slices.SortedStableFunc(slices.Values(given), func(a, b desired.Rule) int {
		return cmp.Compare(a.Priority, b.Priority)
	})
	all := make(Rules, 0, len(ordered))
	for _, one := range ordered {
		rule, err := compileRule(one)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", one.ARN, err)
		}
		all = append(all, rule)
	}
	return all, nil
}

func compileRule(given desired.Rule) (*Rule, error) {
	actions := slices.SortedStableFunc(slices.Values(given.Actions), func(a, b desired.Action) int {
		return cmp.Compare(a.Order, b.Order)
	})
	if len(actions) == 0 {
		return nil, fmt.Errorf("it has no action")
	}
	rule := &Rule{Action: actions[len(actions)-1]}
	if len(actions) > 1 {
		rule.Before = actions[0].Type
	}
	for _, one := range given.Conditions {
		condition, err := compile(one)
		if err != nil {
			return nil, err
		}
		rule.conditions = append(rule.conditions, condition)
	}
	for _, one := range given.Transforms {
		transform, err := compileTransform(one)
		if err != nil {
			return nil, err
		}
		rule.transforms = append(rule.transforms, transform)
	}
	return rule, nil
}

// Find returns the first rule whose conditions a request meets, or nothing without a default rule.
func (r Rules) Find(request *http.Request) *Rule {
	for _, rule := range r {
		if rule.matches(request) {
			return rule
		}
	}
	return nil
}

func (r *Rule) matches(request *http.Request) bool {
	for _, holds := range r.conditions {
		if !holds(request) {
			return false
		}
	}
	return true
}

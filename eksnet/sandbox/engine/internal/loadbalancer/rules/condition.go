package rules

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"eksnet.dev/engine/internal/loadbalancer/desired"
)

// condition tells whether a request meets it.
type condition func(*http.Request) bool

// How each field compares, as AWS documents it: only paths and methods know case, and only a query
// string takes a backslash before a wildcard.
var (
	hostCompares   = options{fold: true}
	pathCompares   = options{}
	headerCompares = options{fold: true}
	queryCompares  = options{fold: true, escapes: true}
)

func compile(c desired.Condition) (condition, error) {
	switch c.Field {
	case "host-header":
		matches, err := compilePatterns(patterns(c, c.HostHeaderConfig), hostCompares)
		return func(r *http.Request) bool { return matches(Hostname(r.Host)) }, err
	case "path-pattern":
		matches, err := compilePatterns(patterns(c, c.PathPatternConfig), pathCompares)
		return func(r *http.Request) bool { return matches(r.URL.EscapedPath()) }, err
	case "http-header":
		values := patterns(c, c.HTTPHeaderConfig)
		name := http.CanonicalHeaderKey(values.HTTPHeaderName)
		matches, err := compilePatterns(values, headerCompares)
		return func(r *http.Request) bool { return slices.ContainsFunc(r.Header[name], matches) }, err
	case "http-request-method":
		methods := patterns(c, c.HTTPRequestMethodConfig).Values
		return func(r *http.Request) bool { return slices.Contains(methods, r.Method) }, nil
	case "query-string":
		return compileQuery(c.QueryStringConfig), nil
	case "source-ip":
		return compileSource(patterns(c, c.SourceIPConfig).Values)
	default:
		return nil, fmt.Errorf("a condition on %q, which is not known", c.Field)
	}
}

// patterns returns a condition's values from where they stand: the field's own configuration, or the
// older form beside it.
func patterns(c desired.Condition, config *desired.Patterns) desired.Patterns {
	found := desired.Patterns{Values: c.Values, RegexValues: c.RegexValues}
	if config == nil {
		return found
	}
	found.HTTPHeaderName = config.HTTPHeaderName
	if len(config.Values)+len(config.RegexValues) > 0 {
		found.Values, found.RegexValues = config.Values, config.RegexValues
	}
	return found
}

func compilePatterns(values desired.Patterns, options options) (func(string) bool, error) {
	var wildcards []pattern
	for _, value := range values.Values {
		wildcards = append(wildcards, newPattern(value, options))
	}
	var expressions []*regexp.Regexp
	for _, value := range values.RegexValues {
		expression, err := compileExpression(value, options.fold)
		if err != nil {
			return nil, err
		}
		expressions = append(expressions, expression)
	}
	return func(text string) bool {
		return slices.ContainsFunc(wildcards, func(p pattern) bool { return p.matches(text) }) ||
			slices.ContainsFunc(expressions, func(e *regexp.Regexp) bool { return e.MatchString(text) })
	}, nil
}

func compileExpression(text string, fold bool) (*regexp.Regexp, error) {
	if fold {
		text = "(?i)" + text
	}
	return regexp.Compile(text)
}

// compileQuery compares the parameters as they were sent: percent signs are not decoded.
func compileQuery(config *desired.QueryStringConfig) condition {
	type parameter struct {
		key, value pattern
		anyKey     bool
	}
	var wanted []parameter
	if config != nil {
		for _, pair := range config.Values {
			wanted = append(wanted, parameter{
				newPattern(pair.Key, queryCompares), newPattern(pair.Value, queryCompares), pair.Key == "",
			})
		}
	}
	return func(r *http.Request) bool {
		for sent := range strings.SplitSeq(r.URL.RawQuery, "&") {
			key, value, _ := strings.Cut(sent, "=")
			for _, want := range wanted {
				if (want.anyKey || want.key.matches(key)) && want.value.matches(value) {
					return true
				}
			}
		}
		return false
	}
}

// compileSource looks at the connection's address, never at X-Forwarded-For.
func compileSource(values []string) (condition, error) {
	var prefixes []netip.Prefix
	for _, value := range values {
		prefix, err := netip.ParsePrefix(value)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return func(r *http.Request) bool {
		client, err := netip.ParseAddrPort(r.RemoteAddr)
		address := client.Addr().Unmap()
		return err == nil && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(address) })
	}, nil
}

// Hostname returns a Host header without its port.
func Hostname(host string) string {
	if end := strings.LastIndexByte(host, ':'); end > strings.LastIndexByte(host, ']') {
		return host[:end]
	}
	return host
}

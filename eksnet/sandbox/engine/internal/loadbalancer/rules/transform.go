package rules

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"eksnet.dev/engine/internal/loadbalancer/desired"
)

// transform rewrites a request that goes to a target.
type transform func(*http.Request) error

func compileTransform(given desired.Transform) (transform, error) {
	switch given.Type {
	case "host-header-rewrite":
		return compileRewrite(given.HostHeaderRewriteConfig, true, rewriteHost)
	case "url-rewrite":
		return compileRewrite(given.URLRewriteConfig, false, rewriteURL)
	default:
		return nil, fmt.Errorf("a transform %q, which is not known", given.Type)
	}
}

type rewrite func(request *http.Request, replace func(string) string) error

func compileRewrite(config *desired.RewriteConfig, fold bool, apply rewrite) (transform, error) {
	if config == nil || len(config.Rewrites) != 1 {
		return nil, fmt.Errorf("a transform that has not exactly one rewrite")
	}
	given := config.Rewrites[0]
	expression, err := compileExpression(given.Regex, fold)
	if err != nil {
		return nil, err
	}
	replacement := groups.ReplaceAllString(given.Replace, "$${${1}}")
	replace := func(text string) string { return expression.ReplaceAllString(text, replacement) }
	return func(request *http.Request) error { return apply(request, replace) }, nil
}

// groups finds $1 in a replacement, which Go would read as the group `1x` in `$1x`.
var groups = regexp.MustCompile(`\$(\d+)`)

func rewriteHost(request *http.Request, replace func(string) string) error {
	request.Host = replace(request.Host)
	return nil
}

// rewriteURL sees path and query; protocol and port cannot be changed.
func rewriteURL(request *http.Request, replace func(string) string) error {
	before := request.URL.RequestURI()
	after := replace(before)
	if after == before {
		return nil
	}
	parsed, err := url.ParseRequestURI(after)
	if err != nil {
		return fmt.Errorf("the rewritten URL: %w", err)
	}
	request.URL.Path, request.URL.RawPath, request.URL.RawQuery = parsed.Path, parsed.RawPath, parsed.RawQuery
	return nil
}

// Transform rewrites a request to a target. An error is the load balancer's own 500.
func (r *Rule) Transform(request *http.Request) error {
	for _, rewrite := range r.transforms {
		if err := rewrite(request); err != nil {
			return err
		}
	}
	return nil
}

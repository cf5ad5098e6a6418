package rules

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"eksnet.dev/engine/internal/loadbalancer/desired"
)

// request reads a request as a client sends it: its first line, then headers.
func request(t *testing.T, lines ...string) *http.Request {
	t.Helper()
	method, target, _ := strings.Cut(lines[0], " ")
	r := httptest.NewRequest(method, target, nil)
	r.Host, r.RemoteAddr = "example.com", "192.0.2.7:5000"
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Host":
			r.Host = value
		case "From-Address":
			r.RemoteAddr = value
		default:
			r.Header.Add(name, value)
		}
	}
	return r
}

// The conditions are those of AWS's user guide, in the form in which DescribeRules gives them.
func TestConditions(t *testing.T) {
	const (
		userAgent = `[{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "User-Agent", "Values": ["*Chrome*", "*Safari*"]}}]`
		method    = `[{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["CUSTOM-METHOD"]}}]`
		host      = `[{"Field": "host-header", "Values": ["*.example.com"], "HostHeaderConfig": {"Values": ["*.example.com"]}}]`
		path      = `[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/img/*"]}}]`
		oldPath   = `[{"Field": "path-pattern", "Values": ["/img/*"]}]`
		query     = `[{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "version", "Value": "v1"}, {"Value": "*example*"}]}}]`
		source    = `[{"Field": "source-ip", "SourceIpConfig": {"Values": ["192.0.2.0/24", "198.51.100.10/32", "2001:db8::/32"]}}]`
		pathRegex = `[{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/api/v[0-9]+/(users|orders)$"]}}]`
		hostRegex = `[{"Field": "host-header", "HostHeaderConfig": {"RegexValues": ["^(.+)\\.example\\.com$"]}}]`
		both      = `[{"Field": "path-pattern", "Values": ["/img/*"]}, {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET", "HEAD"]}}]`
		twice     = `[{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Tag", "Values": ["a*"]}}, {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x-tag", "Values": ["*z"]}}]`
		flag      = `[{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "debug", "Value": ""}]}}]`
		escaped   = `[{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "q", "Value": "what\\?"}]}}]`
	)
	for _, c := range []struct {
		conditions string
		request    []string
		want       bool
	}{
		{userAgent, []string{"GET /", "User-Agent: Mozilla/5.0 Chrome/117"}, true},
		{userAgent, []string{"GET /", "User-Agent: mozilla/5.0 SAFARI/605"}, true},
		{userAgent, []string{"GET /", "User-Agent: curl/8"}, false},
		{userAgent, []string{"GET /"}, false},
		{method, []string{"CUSTOM-METHOD /"}, true},
		{method, []string{"custom-method /"}, false},
		{method, []string{"GET /"}, false},
		{host, []string{"GET /", "Host: test.example.com"}, true},
		{host, []string{"GET /", "Host: TEST.Example.Com:8080"}, true},
		{host, []string{"GET /", "Host: example.com"}, false},
		{host, []string{"GET /", "Host: test.example.com.evil"}, false},
		{path, []string{"GET /img/picture.jpg"}, true},
		{path, []string{"GET /img/picture.jpg?size=1"}, true},
		{path, []string{"GET /IMG/picture.jpg"}, false},
		{path, []string{"GET /?/img/x"}, false},
		{oldPath, []string{"GET /img/picture.jpg"}, true},
		{path, []string{"GET /img%2Fpicture.jpg"}, false}, // compared as it was sent
		{query, []string{"GET /?version=v1"}, true},
		{query, []string{"GET /?a=b&VERSION=V1"}, true},
		{query, []string{"GET /?version=v2"}, false},
		{query, []string{"GET /?any=an-Example-value"}, true},
		{query, []string{"GET /?example=no"}, false},
		{query, []string{"GET /"}, false},
		{flag, []string{"GET /?debug"}, true},
		{flag, []string{"GET /?debug=1"}, false},
		{escaped, []string{"GET /?q=what?"}, true},
		{escaped, []string{"GET /?q=whats"}, false},
		{source, []string{"GET /", "From-Address: 192.0.2.200:1"}, true},
		{source, []string{"GET /", "From-Address: [::ffff:192.0.2.200]:1"}, true},
		{source, []string{"GET /", "From-Address: 198.51.100.10:1"}, true},
		{source, []string{"GET /", "From-Address: [2001:db8::1]:1"}, true},
		{source, []string{"GET /", "From-Address: 198.51.100.11:1", "X-Forwarded-For: 192.0.2.1"}, false},
		{pathRegex, []string{"GET /api/v2/users"}, true},
		{pathRegex, []string{"GET /api/v2/users/1"}, false},
		{pathRegex, []string{"GET /API/v2/users"}, false},
		{hostRegex, []string{"GET /", "Host: A.example.com"}, true},
		{hostRegex, []string{"GET /", "Host: example.com"}, false},
		{both, []string{"HEAD /img/x"}, true},
		{both, []string{"POST /img/x"}, false},
		{both, []string{"GET /x"}, false},
		{twice, []string{"GET /", "X-Tag: a-z"}, true},
		{twice, []string{"GET /", "X-Tag: a", "X-Tag: z"}, true},
		{twice, []string{"GET /", "X-Tag: a"}, false},
		{`[]`, []string{"GET /"}, true},
	} {
		var rule desired.Rule
		if err := json.Unmarshal([]byte(`{"priority": 1, "conditions": `+c.conditions+`, "actions": [{"Type": "forward"}]}`), &rule); err != nil {
			t.Fatal(err)
		}
		compiled, err := Compile([]desired.Rule{rule})
		if err != nil {
			t.Fatal(err)
		}
		if got := compiled.Find(request(t, c.request...)) != nil; got != c.want {
			t.Errorf("%s with %q: %v; expected %v", c.conditions, c.request, got, c.want)
		}
	}
}

func TestRulesThatCannotBeUsed(t *testing.T) {
	for _, text := range []string{
		`{"conditions": [{"Field": "weather"}], "actions": [{"Type": "forward"}]}`,
		`{"conditions": [{"Field": "source-ip", "SourceIpConfig": {"Values": ["here"]}}], "actions": [{"Type": "forward"}]}`,
		`{"conditions": [{"Field": "path-pattern", "RegexValues": ["("]}], "actions": [{"Type": "forward"}]}`,
		`{"actions": [{"Type": "forward"}], "transforms": [{"Type": "rot13"}]}`,
		`{"actions": [{"Type": "forward"}], "transforms": [{"Type": "url-rewrite"}]}`,
		`{"actions": []}`,
	} {
		var rule desired.Rule
		if err := json.Unmarshal([]byte(text), &rule); err != nil {
			t.Fatal(err)
		}
		if _, err := Compile([]desired.Rule{rule}); err == nil {
			t.Errorf("no error: %s", text)
		}
	}
}

func TestRulesAreAskedByPriority(t *testing.T) {
	var given []desired.Rule
	text := `[
		{"arn": "last", "priority": "default", "actions": [{"Type": "forward"}]},
		{"arn": "second", "priority": "20", "conditions": [{"Field": "path-pattern", "Values": ["/a*"]}], "actions": [{"Type": "forward"}]},
		{"arn": "first", "priority": 3, "conditions": [{"Field": "path-pattern", "Values": ["/ab*"]}],
		 "actions": [{"Type": "redirect", "Order": 2}, {"Type": "authenticate-oidc", "Order": "1"}]}
	]`
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		t.Fatal(err)
	}
	compiled, err := Compile(given)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/abc": 0, "/ac": 1, "/": 2} {
		if got := compiled.Find(request(t, "GET "+path)); got != compiled[want] {
			t.Errorf("%s meets %+v; expected rule %d", path, got, want)
		}
	}
	if first := compiled[0]; first.Action.Type != "redirect" || first.Before != "authenticate-oidc" {
		t.Errorf("actions %q before %q", first.Before, first.Action.Type)
	}
}

// The placeholders and examples are those of AWS's user guide.
func TestRedirects(t *testing.T) {
	for _, c := range []struct {
		config  string
		request []string
		status  int
		want    string
	}{
		{
			`{"Protocol": "HTTPS", "Port": "443", "Host": "#{host}", "Path": "/#{path}", "Query": "#{query}", "StatusCode": "HTTP_301"}`,
			[]string{"GET /a/b?c=d&e=%20", "Host: www.example.com:80"}, 301, "https://www.example.com:443/a/b?c=d&e=%20",
		},
		{`{"Port": "40443", "Protocol": "HTTPS"}`, []string{"GET /a?b"}, 302, "https://example.com:40443/a?b"},
		{`{"Path": "/new/#{path}", "StatusCode": "HTTP_302"}`, []string{"GET /a/b"}, 302, "http://example.com:8080/new/a/b"},
		{`{"Host": "example.#{host}"}`, []string{"GET /"}, 302, "http://example.example.com:8080/"},
		{`{"Query": "#{query}&value=xyz"}`, []string{"GET /?a=b"}, 302, "http://example.com:8080/?a=b&value=xyz"},
		{`{"Path": "/#{host}/#{port}/#{path}", "Query": "p=#{protocol}&h=#{host}&o=#{port}&w=#{path}"}`, []string{"GET /x"}, 302,
			"http://example.com:8080/example.com/8080/x?p=http&h=example.com&o=8080&w=x"},
		{`{"Path": "/fixed", "Query": ""}`, []string{"GET /a%2Fb?q"}, 302, "http://example.com:8080/fixed?q"},
		{`{}`, []string{"GET /a%2Fb", "Host: #{path}"}, 302, "http://#{path}:8080/a%2Fb"},
	} {
		var config desired.RedirectConfig
		if err := json.Unmarshal([]byte(c.config), &config); err != nil {
			t.Fatal(err)
		}
		status, location := Redirect(config, request(t, c.request...), "HTTP", 8080)
		if status != c.status || location != c.want {
			t.Errorf("%s with %q: %d %s; expected %d %s", c.config, c.request, status, location, c.status, c.want)
		}
	}
}

// The first two are the examples of AWS's user guide.
func TestTransforms(t *testing.T) {
	for _, c := range []struct {
		transforms string
		request    []string
		host, url  string
	}{
		{`[{"Type": "host-header-rewrite", "HostHeaderRewriteConfig": {"Rewrites": [{"Regex": "^mywebsite-(.+).com$", "Replace": "internal.dev.$1.myweb.com"}]}}]`,
			[]string{"GET /project-a", "Host: mywebsite-example.com"}, "internal.dev.example.myweb.com", "/project-a"},
		{`[{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/dp/([A-Za-z0-9]+)/?$", "Replace": "/product.php?id=$1"}]}}]`,
			[]string{"GET /dp/B09G3HRMW"}, "example.com", "/product.php?id=B09G3HRMW"},
		{`[{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/(a)", "Replace": "/$1x"}]}}]`,
			[]string{"GET /a?b=c"}, "example.com", "/ax?b=c"},
		{`[{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/nothing", "Replace": "/"}]}}]`,
			[]string{"GET /a%2Fb?b=%20"}, "example.com", "/a%2Fb?b=%20"},
	} {
		rule := desired.Rule{Actions: []desired.Action{{Type: "forward"}}}
		if err := json.Unmarshal([]byte(c.transforms), &rule.Transforms); err != nil {
			t.Fatal(err)
		}
		compiled, err := Compile([]desired.Rule{rule})
		if err != nil {
			t.Fatal(err)
		}
		r := request(t, c.request...)
		if err := compiled[0].Transform(r); err != nil {
			t.Fatal(err)
		}
		if r.Host != c.host || r.URL.RequestURI() != c.url {
			t.Errorf("%s with %q: %s%s; expected %s%s", c.transforms, c.request, r.Host, r.URL.RequestURI(), c.host, c.url)
		}
	}
}

func TestATransformThatMakesNoURL(t *testing.T) {
	rule := desired.Rule{
		Actions: []desired.Action{{Type: "forward"}},
		Transforms: []desired.Transform{{Type: "url-rewrite", URLRewriteConfig: &desired.RewriteConfig{
			Rewrites: []desired.Rewrite{{Regex: "^/", Replace: "%zz"}},
		}}},
	}
	compiled, err := Compile([]desired.Rule{rule})
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled[0].Transform(request(t, "GET /a")); err == nil {
		t.Error("no error")
	}
}

func TestHostname(t *testing.T) {
	for host, want := range map[string]string{
		"example.com": "example.com", "example.com:80": "example.com", "[::1]": "[::1]", "[::1]:80": "[::1]", "": "",
	} {
		if got := Hostname(host); got != want {
			t.Errorf("%q: %q; expected %q", host, got, want)
		}
	}
}

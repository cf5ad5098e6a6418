package rules

import (
	"net/http"
	"strconv"
	"strings"

	"eksnet.dev/engine/internal/loadbalancer/desired"
)

// Redirect returns the status and the location of a redirect.
//
// protocol (HTTP or HTTPS) and port are the listener's: the placeholders stand for what the client used.
func Redirect(config desired.RedirectConfig, request *http.Request, protocol string, port int) (status int, location string) {
	fill := strings.NewReplacer(
		"#{protocol}", strings.ToLower(protocol),
		"#{host}", Hostname(request.Host),
		"#{port}", strconv.Itoa(port),
		"#{path}", strings.TrimPrefix(request.URL.EscapedPath(), "/"),
		"#{query}", request.URL.RawQuery,
	).Replace
	part := func(given, otherwise string) string {
		if given == "" {
			given = otherwise
		}
		return fill(given)
	}
	location = strings.ToLower(part(config.Protocol, "#{protocol}")) + "://" +
		part(config.Host, "#{host}") + ":" + part(string(config.Port), "#{port}") + part(config.Path, "/#{path}")
	if query := part(config.Query, "#{query}"); query != "" {
		location += "?" + query
	}
	if config.StatusCode == "HTTP_301" {
		return http.StatusMovedPermanently, location
	}
	return http.StatusFound, location
}

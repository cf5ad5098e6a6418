package rules

import (
	"regexp"
	"strings"
	"testing"
)

func TestWildcards(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		options       options
		want          bool
	}{
		{"/img/*", "/img/picture.jpg", pathCompares, true},
		{"/img/*", "/img/", pathCompares, true},
		{"/img/*", "/img", pathCompares, false},
		{"/img/*", "/IMG/picture.jpg", pathCompares, false},
		{"/img/*/pics", "/img/2026/pics", pathCompares, true},
		{"/img/*/pics", "/img/2026/11/pics", pathCompares, true},
		{"/img/*/pics", "/img/pics", pathCompares, false},
		{"/img/*/pics", "/img/2026/pics/more", pathCompares, false},
		{"/*", "/", pathCompares, true},
		{"*", "", pathCompares, true},
		{"/a?c", "/abc", pathCompares, true},
		{"/a?c", "/ac", pathCompares, false},
		{"/a?c", "/abbc", pathCompares, false},
		{"", "", pathCompares, true},
		{"", "/", pathCompares, false},
		{"*.example.com", "test.example.com", hostCompares, true},
		{"*.example.com", "example.com", hostCompares, false},
		{"*.Example.com", "TEST.example.COM", hostCompares, true},
		{"*Chrome*", "Mozilla/5.0 (X11) chrome/117.0", headerCompares, true},
		{"*Chrome*", "Mozilla/5.0 Firefox", headerCompares, false},
		{`2\*3`, "2*3", queryCompares, true},
		{`2\*3`, "2x3", queryCompares, false},
		{`what\?`, "WHAT?", queryCompares, true},
		{`what\?`, "whatx", queryCompares, false},
		{`a\b`, `A\B`, queryCompares, true},
		{`a\*`, `a\bc`, headerCompares, true}, // no escapes here: a backslash, then anything
		{"a*b*c", "a-c-b-c", pathCompares, true},
		{"a*b*c", "a-c-b", pathCompares, false},
		{strings.Repeat("*a", 30) + "b", strings.Repeat("a", 5000), pathCompares, false},
	} {
		if got := newPattern(c.pattern, c.options).matches(c.text); got != c.want {
			t.Errorf("%q with %q: %v; expected %v", c.pattern, c.text, got, c.want)
		}
	}
}

// reference is the same as a regular expression.
func reference(text string, options options) *regexp.Regexp {
	var expression strings.Builder
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case options.escapes && b == '\\' && i+1 < len(text) && (text[i+1] == '*' || text[i+1] == '?'):
			i++
			expression.WriteString(regexp.QuoteMeta(text[i : i+1]))
		case b == '*':
			expression.WriteString(".*")
		case b == '?':
			expression.WriteString(".")
		default:
			expression.WriteString(regexp.QuoteMeta(string(rune(b))))
		}
	}
	flags := "(?s)"
	if options.fold {
		flags = "(?si)"
	}
	return regexp.MustCompile(flags + "^(?:" + expression.String() + ")$")
}

func FuzzWildcards(f *testing.F) {
	f.Add("/img/*/pics", "/img/a/pics", true, false)
	f.Add(`\**?`, "*ab", false, true)
	f.Add("a*b*c", "abcbc", false, false)
	f.Fuzz(func(t *testing.T, pattern, text string, fold, escapes bool) {
		if !isASCII(pattern) || !isASCII(text) {
			return // AWS takes visible ASCII characters alone
		}
		options := options{fold, escapes}
		got, want := newPattern(pattern, options).matches(text), reference(pattern, options).MatchString(text)
		if got != want {
			t.Errorf("%q with %q and %+v: %v; expected %v", pattern, text, options, got, want)
		}
	})
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// TestWildcardsAgreeWithTheirReference draws many short texts of few letters, where matches are frequent.
func TestWildcardsAgreeWithTheirReference(t *testing.T) {
	const letters = `aB*?\`
	var texts func(length int) []string
	texts = func(length int) []string {
		if length == 0 {
			return []string{""}
		}
		all := texts(length - 1)
		for _, shorter := range all {
			if len(shorter) != length-1 {
				continue
			}
			for _, letter := range letters {
				all = append(all, shorter+string(letter))
			}
		}
		return all
	}
	matches := 0
	for _, pattern := range texts(4) {
		for _, options := range []options{{}, {fold: true}, {escapes: true}, {fold: true, escapes: true}} {
			compiled, expression := newPattern(pattern, options), reference(pattern, options)
			for _, text := range texts(3) {
				got, want := compiled.matches(text), expression.MatchString(text)
				if got != want {
					t.Fatalf("%q with %q and %+v: %v; expected %v", pattern, text, options, got, want)
				}
				if got {
					matches++
				}
			}
		}
	}
	if matches == 0 {
		t.Error("nothing matched")
	}
}

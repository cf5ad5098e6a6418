// Package rules decides which rule a request meets, as an Application Load Balancer does.
package rules

// pattern is a text with wildcards: * stands for any characters or none, ? for exactly one.
type pattern struct {
	// bytes are lower-case when the comparison ignores case.
	bytes []byte
	// wild tells which bytes are wildcards: one that is escaped is not.
	wild []bool
	fold bool
}

// options are how a field compares.
type options struct {
	// fold ignores the case of ASCII letters.
	fold bool
	// escapes lets a backslash before * and ? stand for these characters themselves.
	escapes bool
}

func newPattern(text string, options options) pattern {
	p := pattern{fold: options.fold}
	for i := 0; i < len(text); i++ {
		b := text[i]
		if options.escapes && b == '\\' && i+1 < len(text) && isWildcard(text[i+1]) {
			i++
			p.add(text[i], false)
			continue
		}
		p.add(b, isWildcard(b))
	}
	return p
}

func isWildcard(b byte) bool { return b == '*' || b == '?' }

func (p *pattern) add(b byte, wild bool) {
	if p.fold {
		b = lower(b)
	}
	p.bytes, p.wild = append(p.bytes, b), append(p.wild, wild)
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + ('a' - 'A')
	}
	return b
}

// matches compares the whole text. A star first takes nothing; when what follows it fails, it takes one
// character more. Only the last star ever has to: what stands before it has matched the shortest way.
func (p pattern) matches(text string) bool {
	at, star, taken := 0, -1, 0
	for i := 0; i < len(text); {
		switch {
		case at < len(p.bytes) && p.wild[at] && p.bytes[at] == '*':
			star, taken = at, i
			at++
		case at < len(p.bytes) && p.matchesOne(at, text[i]):
			at++
			i++
		case star >= 0:
			taken++
			at, i = star+1, taken
		default:
			return false
		}
	}
	for at < len(p.bytes) && p.wild[at] && p.bytes[at] == '*' {
		at++
	}
	return at == len(p.bytes)
}

func (p pattern) matchesOne(at int, b byte) bool {
	if p.wild[at] {
		return true // a question mark: stars are looked at before
	}
	if p.fold {
		b = lower(b)
	}
	return p.bytes[at] == b
}

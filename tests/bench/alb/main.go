// Command alb is what the benchmark of the load balancer needs beside it: a backend, httputil's plain
// reverse proxy, and a client.
//
//	alb backend ADDRESS
//	alb proxy ADDRESS URL
//	alb load URL CONNECTIONS SECONDS [RATE]
//
// `load` asks as often as it can, or RATE times a second, and prints a line of JSON.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// connections is how many connections a proxy may keep to its backend.
const connections = 1024

// answer is the backend's: 1 KiB, as a small page or a call of an API has.
var answer = make([]byte, 1024)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "alb:", err)
		os.Exit(1)
	}
}

func run(words []string) error {
	switch {
	case len(words) == 2 && words[0] == "backend":
		return http.ListenAndServe(words[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(answer)
		}))
	case len(words) == 3 && words[0] == "proxy":
		return proxy(words[1], words[2])
	case len(words) >= 4 && words[0] == "load":
		return load(words[1], words[2:])
	default:
		return fmt.Errorf("%q; expected backend, proxy or load", words)
	}
}

// proxy is httputil.ReverseProxy as its documentation shows it. Its connections are kept, or it would
// be compared with something that opens one for each request.
func proxy(address, backend string) error {
	to, err := url.Parse(backend)
	if err != nil {
		return err
	}
	reverse := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true},
	}
	return http.ListenAndServe(address, reverse)
}

type result struct {
	Requests int     `json:"requests"`
	Errors   int64   `json:"errors"`
	Rate     float64 `json:"rate"`
	// P99 is in milliseconds, from the moment at which a request was due.
	P99 float64 `json:"p99"`
}

func load(target string, words []string) error {
	var numbers []float64
	for _, word := range words {
		number, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return err
		}
		numbers = append(numbers, number)
	}
	workers, lasting := int(numbers[0]), time.Duration(numbers[1]*float64(time.Second))
	var between time.Duration
	if len(numbers) > 2 {
		between = time.Duration(float64(time.Second) / numbers[2])
	}
	return json.NewEncoder(os.Stdout).Encode(ask(target, workers, lasting, between))
}

// ask lets workers ask until the time is over. With a time between requests, each is due at its own
// moment, and what a late one waited counts: else a slow server would be asked less.
func ask(target string, workers int, lasting, between time.Duration) result {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}}
	var turn, errors atomic.Int64
	taken := make([][]time.Duration, workers)
	begun := time.Now()
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() {
			for {
				due := time.Now()
				if between > 0 {
					due = begun.Add(time.Duration(turn.Add(1)) * between)
					time.Sleep(time.Until(due))
				}
				if due.Sub(begun) > lasting {
					return
				}
				if !get(client, target) {
					errors.Add(1)
				}
				taken[worker] = append(taken[worker], time.Since(due))
			}
		})
	}
	running.Wait()
	all := slices.Concat(taken...)
	slices.Sort(all)
	return result{
		Requests: len(all), Errors: errors.Load(),
		Rate: float64(len(all)) / time.Since(begun).Seconds(),
		P99:  float64(all[len(all)*99/100].Microseconds()) / 1000,
	}
}

// get tells whether the whole answer came.
func get(client *http.Client, target string) bool {
	answered, err := client.Get(target)
	if err != nil {
		return false
	}
	defer answered.Body.Close()
	size, err := io.Copy(io.Discard, answered.Body)
	return err == nil && answered.StatusCode == http.StatusOK && size == int64(len(answer))
}

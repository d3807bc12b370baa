// Go's net/http with one Transport, HTTP/1.1 or, by prior knowledge, HTTP/2.
//
// Arguments: URL REQUESTS CONCURRENCY h1|h2. Prints what it saw as the one line that `soak` reads.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

var body = bytes.Repeat([]byte("x"), 64)

type tally struct {
	lock     sync.Mutex
	Answered int            `json:"answered"`
	Failures map[string]int `json:"failures"`
}

func (t *tally) note(why string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if why == "" {
		t.Answered++
	} else {
		t.Failures[why[:min(len(why), 200)]]++
	}
}

// send returns why there was no right answer, or nothing.
func send(client *http.Client, url string) string {
	answer, err := client.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error()
	}
	if answer.StatusCode != http.StatusOK || !bytes.Equal(got, body) {
		return fmt.Sprintf("status %d with %d bytes", answer.StatusCode, len(got))
	}
	return ""
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(64)
	}
	return value
}

func main() {
	url, count, concurrency := os.Args[1], number(os.Args[2]), int(number(os.Args[3]))
	protocols := new(http.Protocols)
	protocols.SetHTTP1(os.Args[4] == "h1")
	protocols.SetUnencryptedHTTP2(os.Args[4] == "h2")
	transport := &http.Transport{Protocols: protocols, MaxIdleConnsPerHost: concurrency, MaxConnsPerHost: concurrency}
	client := &http.Client{Transport: transport, Timeout: time.Minute}

	seen := &tally{Failures: map[string]int{}}
	var left atomic.Int64
	left.Store(count)
	var workers sync.WaitGroup
	for range concurrency {
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				seen.note(send(client, url))
			}
		})
	}
	workers.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		os.Exit(1)
	}
}

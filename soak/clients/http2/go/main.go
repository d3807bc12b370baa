// grpc-go with one channel; a message is its bytes.
//
// Arguments: URL REQUESTS CONCURRENCY. Prints what it saw as the one line that `soak` reads.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

var body = bytes.Repeat([]byte("x"), 64)

type raw struct{}

func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }
func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = bytes.Clone(data)
	return nil
}
func (raw) Name() string { return "raw" }

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

// say returns why there was no right answer, or nothing.
func say(channel *grpc.ClientConn) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var answer []byte
	if err := channel.Invoke(ctx, "/echo.Echo/Say", &body, &answer, grpc.ForceCodec(raw{})); err != nil {
		return err.Error()
	}
	if !bytes.Equal(answer, body) {
		return fmt.Sprintf("%d bytes", len(answer))
	}
	return ""
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(64)
	}
	return value
}

func main() {
	address := must(url.Parse(os.Args[1])).Host
	count, concurrency := must(strconv.ParseInt(os.Args[2], 10, 64)), must(strconv.Atoi(os.Args[3]))
	channel := must(grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(insecure.NewCredentials())))

	seen := &tally{Failures: map[string]int{}}
	var left atomic.Int64
	left.Store(count)
	var workers sync.WaitGroup
	for range concurrency {
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				seen.note(say(channel))
			}
		})
	}
	workers.Wait()
	must(0, json.NewEncoder(os.Stdout).Encode(seen))
}

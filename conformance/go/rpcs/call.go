package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A call that takes longer hangs.
const deadline = time.Minute

// The longest message: more than a frame, less than a window.
const longest = 40_000

// caller makes one call after another on a channel that it shares with others.
type caller struct {
	channel *grpc.ClientConn
	random  *rand.Rand
	outcome map[string]map[string]int
}

func call(arguments []string) {
	flags := flag.NewFlagSet("call", flag.ExitOnError)
	to := flags.String("to", "", "where the app, or what is in front of it, listens")
	channels := flags.Int("channels", 4, "channels: a client each, as an app would have them")
	callers := flags.Int("callers", 8, "callers that share a channel")
	calls := flags.Int("calls", 100, "calls of each caller")
	seed := flags.Uint64("seed", 1, "what the calls are drawn from")
	_ = flags.Parse(arguments) // It exits by itself.
	var all []*caller
	for number := range *channels {
		channel, err := grpc.NewClient("passthrough:///"+*to, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			log.Fatal(err)
		}
		defer channel.Close()
		for caller := range *callers {
			all = append(all, newCaller(channel, rand.New(rand.NewPCG(*seed, uint64(number**callers+caller)))))
		}
	}
	var running sync.WaitGroup
	for _, caller := range all {
		running.Go(func() {
			for range *calls {
				caller.callOnce()
			}
		})
	}
	running.Wait()
	report(joined(all))
}

func newCaller(channel *grpc.ClientConn, random *rand.Rand) *caller {
	outcome := make(map[string]map[string]int)
	for _, kind := range kinds {
		outcome[kind] = make(map[string]int)
	}
	return &caller{channel, random, outcome}
}

func joined(callers []*caller) map[string]map[string]int {
	all := newCaller(nil, nil).outcome
	for _, caller := range callers {
		for kind, statuses := range caller.outcome {
			for code, count := range statuses {
				all[kind][code] += count
			}
		}
	}
	return all
}

// callOnce makes a call of some kind, and notes how it ended: by gRPC's name for its status.
func (c *caller) callOnce() {
	context, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	kind := kinds[c.random.IntN(len(kinds))]
	err := c.calls()[kind](context)
	if err != nil {
		log.Printf("%s: %v", kind, err)
	}
	c.outcome[kind][status.Code(err).String()]++
}

func (c *caller) calls() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		unary: c.unary, upload: c.upload, download: c.download, duplex: c.duplex,
	}
}

func (c *caller) unary(context context.Context) error {
	request, response := c.message(), new(message)
	if err := c.channel.Invoke(context, method(unary), request, response); err != nil {
		return err
	}
	return same(request.GetValue(), response)
}

func (c *caller) upload(context context.Context) error {
	stream, err := c.open(context, upload)
	if err != nil {
		return err
	}
	hash := sha256.New()
	for range c.random.IntN(10) {
		request := c.message()
		hash.Write(request.GetValue())
		if err := send(stream, request); err != nil {
			return err
		}
		c.pause()
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return expect(stream, hash.Sum(nil))
}

func (c *caller) download(context context.Context) error {
	stream, err := c.open(context, download)
	if err != nil {
		return err
	}
	request := c.message()
	request.Value = request.Value[:min(len(request.Value), 200)]
	if err := send(stream, request); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for length := range request.GetValue() {
		if err := expect(stream, request.GetValue()[:length+1]); err != nil {
			return err
		}
	}
	return expectEnd(stream)
}

func (c *caller) duplex(context context.Context) error {
	stream, err := c.open(context, duplex)
	if err != nil {
		return err
	}
	for range c.random.IntN(10) {
		request := c.message()
		if err := send(stream, request); err != nil {
			return err
		}
		if err := expect(stream, request.GetValue()); err != nil {
			return err
		}
		c.pause()
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return expectEnd(stream)
}

func (c *caller) open(context context.Context, kind string) (grpc.ClientStream, error) {
	return c.channel.NewStream(context, &grpc.StreamDesc{ClientStreams: true, ServerStreams: kind != upload}, method(kind))
}

func (c *caller) message() *message {
	value := make([]byte, c.random.IntN(c.random.IntN(longest)+1))
	for at := range value {
		value[at] = byte(c.random.Uint32())
	}
	return wrapperspb.Bytes(value)
}

// pause lets most streams go on at once, and some outlive what happens to their connection meanwhile.
func (c *caller) pause() {
	if c.random.IntN(20) == 0 {
		time.Sleep(time.Duration(c.random.IntN(400)) * time.Millisecond)
	}
}

// send sends; where the stream is broken, its status says more than that it could not.
func send(stream grpc.ClientStream, request *message) error {
	err := stream.SendMsg(request)
	if errors.Is(err, io.EOF) {
		return stream.RecvMsg(new(message))
	}
	return err
}

func expect(stream grpc.ClientStream, value []byte) error {
	response := new(message)
	if err := stream.RecvMsg(response); err != nil {
		return err
	}
	return same(value, response)
}

func expectEnd(stream grpc.ClientStream) error {
	switch err := stream.RecvMsg(new(message)); {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return errors.New("expected the end of the stream, got another message")
	default:
		return err
	}
}

func same(expected []byte, response *message) error {
	if !bytes.Equal(expected, response.GetValue()) {
		return fmt.Errorf("expected %d bytes, got %d other ones", len(expected), len(response.GetValue()))
	}
	return nil
}

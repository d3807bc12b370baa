package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// message is all that is ever sent: some bytes.
type message = wrapperspb.BytesValue

// The four kinds of calls, by the names of their methods.
const (
	// unary: the answer is the request.
	unary = "Unary"
	// upload: the answer is the hash of all requests.
	upload = "Upload"
	// download: as many messages as the request has bytes, each of them the request cut after that byte.
	download = "Download"
	// duplex: every request is answered with itself.
	duplex = "Duplex"
)

var kinds = []string{unary, upload, download, duplex}

const serviceName = "evenkeel.conformance.Calls"

func method(kind string) string { return "/" + serviceName + "/" + kind }

var service = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: unary, Handler: answerUnary}},
	Streams: []grpc.StreamDesc{
		{StreamName: upload, Handler: answerUpload, ClientStreams: true},
		{StreamName: download, Handler: answerDownload, ServerStreams: true},
		{StreamName: duplex, Handler: answerDuplex, ClientStreams: true, ServerStreams: true},
	},
}

func answerUnary(counts any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	counts.(*counters).add(unary)
	request := new(message)
	return request, decode(request)
}

func answerUpload(counts any, stream grpc.ServerStream) error {
	counts.(*counters).add(upload)
	hash := sha256.New()
	err := eachRequest(stream, func(request *message) error {
		hash.Write(request.GetValue())
		return nil
	})
	if err != nil {
		return err
	}
	return stream.SendMsg(wrapperspb.Bytes(hash.Sum(nil)))
}

func answerDownload(counts any, stream grpc.ServerStream) error {
	counts.(*counters).add(download)
	request := new(message)
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	for length := range request.GetValue() {
		if err := stream.SendMsg(wrapperspb.Bytes(request.GetValue()[:length+1])); err != nil {
			return err
		}
	}
	return nil
}

func answerDuplex(counts any, stream grpc.ServerStream) error {
	counts.(*counters).add(duplex)
	return eachRequest(stream, func(request *message) error { return stream.SendMsg(request) })
}

func eachRequest(stream grpc.ServerStream, do func(*message) error) error {
	for {
		request := new(message)
		if err := stream.RecvMsg(request); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := do(request); err != nil {
			return err
		}
	}
}

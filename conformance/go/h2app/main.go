// h2app is an HTTP/2 app without TLS (by prior knowledge), as Go's own library serves it: every request is answered
// with a short text once its body has been read.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where clients connect")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Handler: http.HandlerFunc(answer), Protocols: &protocols}
	log.Fatal(server.Serve(listener))
}

func answer(response http.ResponseWriter, request *http.Request) {
	if _, err := io.Copy(io.Discard, request.Body); err == nil {
		fmt.Fprintln(response, "answered over", request.Proto)
	}
}

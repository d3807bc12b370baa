import io.netty.buffer.Unpooled;
import java.time.Duration;
import reactor.core.publisher.Mono;
import reactor.netty.http.HttpProtocol;
import reactor.netty.http.client.HttpClient;

/** reactor-netty's HttpClient by prior knowledge. Arguments: URL REQUESTS CONCURRENCY. */
final class ReactorNetty {
    public static void main(String[] arguments) throws Exception {
        var client = HttpClient.create().protocol(HttpProtocol.H2C);
        Run.run(arguments[1], arguments[2], () -> client.post().uri(arguments[0])
            .send(Mono.fromSupplier(() -> Unpooled.wrappedBuffer(Run.BODY)))
            .responseSingle((answer, body) -> answer.status().code() == 200
                ? body.asByteArray()
                : Mono.error(new IllegalStateException("status " + answer.status())))
            .block(Duration.ofSeconds(Run.TIMEOUT_SECONDS)));
    }
}

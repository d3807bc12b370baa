import java.util.concurrent.TimeUnit;
import org.eclipse.jetty.client.BytesRequestContent;
import org.eclipse.jetty.client.HttpClient;
import org.eclipse.jetty.http2.client.HTTP2Client;
import org.eclipse.jetty.http2.client.transport.HttpClientTransportOverHTTP2;

/** Jetty's HttpClient by prior knowledge. Arguments: URL REQUESTS CONCURRENCY. */
final class Jetty {
    public static void main(String[] arguments) throws Exception {
        var client = new HttpClient(new HttpClientTransportOverHTTP2(new HTTP2Client()));
        client.start();
        Run.run(arguments[1], arguments[2], () -> {
            var answer = client.POST(arguments[0]).body(new BytesRequestContent(Run.BODY))
                .timeout(Run.TIMEOUT_SECONDS, TimeUnit.SECONDS).send();
            if (answer.getStatus() != 200) {
                throw new IllegalStateException("status " + answer.getStatus());
            }
            return answer.getContent();
        });
    }
}

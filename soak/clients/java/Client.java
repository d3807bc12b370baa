import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

/**
 * Java's own HttpClient. Arguments: URL REQUESTS CONCURRENCY h1|h2. Over plain TCP it knows HTTP/2 by upgrade alone, so h2
 * means that it offers one with its first request. Prints what it saw as the one line that soak reads.
 */
public final class Client {
    private static final byte[] BODY = new byte[64];

    private final AtomicLong answered = new AtomicLong();
    private final Map<String, Long> failures = new TreeMap<>();

    public static void main(String[] arguments) throws InterruptedException {
        Arrays.fill(BODY, (byte) 'x');
        var client = new Client();
        client.run(URI.create(arguments[0]), Long.parseLong(arguments[1]), Integer.parseInt(arguments[2]),
            arguments[3].equals("h2") ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1);
        System.out.println(client.report());
        // The HttpClient's threads are no daemons in every release.
        System.exit(0);
    }

    private void run(URI url, long count, int concurrency, HttpClient.Version version) throws InterruptedException {
        var client = HttpClient.newBuilder().version(version).build();
        var request = HttpRequest.newBuilder(url).timeout(Duration.ofMinutes(1))
            .POST(BodyPublishers.ofByteArray(BODY)).build();
        var left = new AtomicLong(count);
        var workers = Executors.newFixedThreadPool(concurrency);
        for (int worker = 0; worker < concurrency; worker++) {
            workers.execute(() -> {
                while (left.decrementAndGet() >= 0) {
                    send(client, request);
                }
            });
        }
        workers.shutdown();
        workers.awaitTermination(1, TimeUnit.DAYS);
    }

    private void send(HttpClient client, HttpRequest request) {
        try {
            var answer = client.send(request, BodyHandlers.ofByteArray());
            if (answer.statusCode() == 200 && Arrays.equals(answer.body(), BODY)) {
                answered.incrementAndGet();
            } else {
                fail("status " + answer.statusCode() + " with " + answer.body().length + " bytes");
            }
        } catch (Exception error) {
            fail(error.toString());
        }
    }

    private synchronized void fail(String why) {
        failures.merge(why.replaceAll("[^ -!#-\\[\\]-~]", "?"), 1L, Long::sum);
    }

    private synchronized String report() {
        var shown = failures.entrySet().stream().map(entry -> "\"" + entry.getKey() + "\":" + entry.getValue());
        return "{\"answered\":" + answered + ",\"failures\":{" + shown.collect(Collectors.joining(",")) + "}}";
    }
}

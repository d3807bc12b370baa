import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

/** The loop that all Java clients share, and what they saw, as the one line that {@code soak} reads. */
final class Run {
    static final byte[] BODY = new byte[64];
    static final int TIMEOUT_SECONDS = 5;

    static {
        Arrays.fill(BODY, (byte) 'x');
    }

    /** Sends one request and returns the answer's body; throws where there was no answer with status 200. */
    interface Request {
        byte[] send() throws Exception;
    }

    private final AtomicLong answered = new AtomicLong();
    private final Map<String, Long> failures = new TreeMap<>();

    /** Sends {@code count} requests, {@code concurrency} at a time, prints what came of them, and exits. */
    static void run(String count, String concurrency, Request request) throws InterruptedException {
        var run = new Run();
        var left = new AtomicLong(Long.parseLong(count));
        var places = Integer.parseInt(concurrency);
        var workers = Executors.newFixedThreadPool(places);
        for (int worker = 0; worker < places; worker++) {
            workers.execute(() -> {
                while (left.decrementAndGet() >= 0) {
                    run.send(request);
                }
            });
        }
        workers.shutdown();
        workers.awaitTermination(1, TimeUnit.DAYS);
        System.out.println(run.report());
        System.out.flush();
        // Threads of the clients' own are no daemons everywhere.
        System.exit(0);
    }

    private void send(Request request) {
        try {
            var body = request.send();
            if (Arrays.equals(body, BODY)) {
                answered.incrementAndGet();
            } else {
                fail(body.length + " bytes");
            }
        } catch (Exception error) {
            var cause = error;
            while (cause.getCause() instanceof Exception next && next != cause) {
                cause = next;
            }
            fail(cause.toString());
        }
    }

    private synchronized void fail(String why) {
        // Ports and stream numbers apart, equal failures are counted together.
        var plain = why.replaceAll("[^ -!#-\\[\\]-~]", "?").replaceAll("[0-9a-f]*[0-9][0-9a-f]*", "N");
        failures.merge(plain.substring(0, Math.min(plain.length(), 160)), 1L, Long::sum);
    }

    private synchronized String report() {
        var shown = failures.entrySet().stream().map(entry -> "\"" + entry.getKey() + "\":" + entry.getValue());
        return "{\"answered\":" + answered + ",\"failures\":{" + shown.collect(Collectors.joining(",")) + "}}";
    }
}

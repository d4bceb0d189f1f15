import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.bootstrap.BootstrapInfo;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/** Runs one Elasticsearch node until SIGTERM: EsNode key=value... (ports, path.home, path.data and so on). */
public class EsNode {
    public static void main(String[] arguments) throws Exception {
        Settings settings = settings(arguments);
        configureLogging(settings);
        BootstrapInfo.init();
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "node-1");
        PluginsLoader plugins = PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(environment.modulesDir(), false),
            PluginsLoader.loadPluginsBundles(environment.pluginsDir(), false),
            Map.of());
        Node node = new Node(environment, plugins);
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, closed), "close-node"));
        node.start();
        closed.await();
    }

    private static Settings settings(String[] arguments) {
        Settings.Builder builder = Settings.builder()
            .put("cluster.name", "seatwright")
            .put("node.name", "node-1")
            .put("network.host", "127.0.0.1")
            .put("discovery.type", "single-node")
            // A developer's disk is often over 90 % full; that must not turn the indices read-only.
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put("action.destructive_requires_name", true);
        for (String argument : arguments) {
            String[] pair = argument.split("=", 2);
            builder.put(pair[0], pair[1]);
        }
        return builder.build();
    }

    private static void configureLogging(Settings settings) throws Exception {
        LogConfigurator.registerErrorListener();
        LogConfigurator.setNodeName("node-1");
        LogConfigurator.configureWithoutConfig(settings);
        LogConfigurator.configureESLogging();
    }

    private static void close(Node node, CountDownLatch closed) {
        try {
            node.prepareForClose();
            node.close();
        } catch (Exception e) {
            e.printStackTrace();
        } finally {
            closed.countDown();
        }
    }
}

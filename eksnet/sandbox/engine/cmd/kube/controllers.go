package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/version/verflag"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
)

const (
	healthPoll = 20 * time.Millisecond
	// After that, upstream's code waits in its own way, and says what it saw.
	healthPatience = 5 * time.Second
)

// newControllerManager returns upstream's controller-manager, which gets ready while the API server
// does and then begins as soon as that is healthy. Upstream's own command waits for that too, but
// asks once a second: so it begins up to a second late, and with it the endpoints of every Service.
func newControllerManager() *cobra.Command {
	command := &cobra.Command{Use: "kube-controller-manager", Args: cobra.NoArgs}
	chosen, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		command.DisableFlagParsing = true
		command.RunE = func(*cobra.Command, []string) error { return err }
		return command
	}
	known, off, aliases := controllermanager.KnownControllers(), controllermanager.ControllersDisabledByDefault(), controllermanager.ControllerAliases()
	flags := chosen.Flags(known, off, aliases)
	chosen.ParsedFlags = &flags
	verflag.AddFlags(flags.FlagSet("global"))
	globalflag.AddGlobalFlags(flags.FlagSet("global"), command.Name(), logs.SkipLoggingConfigurationFlags())
	for _, set := range flags.FlagSets {
		command.Flags().AddFlagSet(set)
	}
	command.RunE = func(*cobra.Command, []string) error {
		verflag.PrintAndExitIfRequested()
		// It watches every kind there is, deprecated ones too.
		rest.SetDefaultWarningHandler(rest.NoWarnings{})
		if err := chosen.ComponentGlobalsRegistry.Set(); err != nil {
			return err
		}
		if err := logsapi.ValidateAndApply(chosen.Logs, utilfeature.DefaultFeatureGate); err != nil {
			return err
		}
		ctx := context.Background()
		config, err := chosen.Config(ctx, known, off, aliases)
		if err != nil {
			return err
		}
		gates := chosen.ComponentGlobalsRegistry.FeatureGateFor(compatibility.DefaultKubeComponent)
		gates.(featuregate.MutableFeatureGate).AddMetrics()
		chosen.ComponentGlobalsRegistry.AddMetrics()
		_ = awaitHealthy(ctx, config.Kubeconfig)
		return controllermanager.Run(ctx, config.Complete())
	}
	return command
}

// awaitHealthy returns when the API server answers /healthz with 200, or in error.
func awaitHealthy(ctx context.Context, config *rest.Config) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, healthPoll, healthPatience, true, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/healthz", nil)
		if err != nil {
			return false, err
		}
		response, err := client.Do(request)
		if err != nil {
			return false, nil
		}
		defer response.Body.Close()
		// To the end, or the next question needs another connection.
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode == http.StatusOK, nil
	})
}

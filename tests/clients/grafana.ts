// What the files below `grafana/` may hold, in the types that Grafana's makers publish: dashboards and panels by
// @grafana/schema, queries and alert rules by the Foundation SDK. Each of those files is checked as a literal of one of
// these types, so a field that is unknown, missing or of a wrong type is an error. The files that Grafana is provisioned
// by have no published types: those below are of its documentation
// (https://grafana.com/docs/grafana/latest/administration/provisioning/ and …/alerting/set-up/provision-alerting-resources/).

import type * as alerting from '@grafana/grafana-foundation-sdk/alerting'
import type * as expr from '@grafana/grafana-foundation-sdk/expr'
import type * as prometheus from '@grafana/grafana-foundation-sdk/prometheus'
import type * as units from '@grafana/grafana-foundation-sdk/units'
import type * as raw from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen'
import type * as barchart from '@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen'
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen'
import type * as gauge from '@grafana/schema/dist/esm/raw/composable/gauge/panelcfg/x/GaugePanelCfg_types.gen'
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen'
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen'
import type * as stateTimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen'
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen'
import type * as text from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen'
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen'

/** A type as it is in JSON: members of enumerations are their values, and methods are none. */
type Json<T> = unknown extends T
  ? unknown
  : T extends string
    ? `${T}`
    : T extends number
      ? `${number}` extends `${T}`
        ? number
        : `${T}` extends `${infer Value extends number}`
          ? Value
          : never
      : T extends (infer Item)[]
        ? Json<Item>[]
        : T extends object
          ? { [Key in keyof T as Key extends `_implements${string}` ? never : Key]: Json<T[Key]> }
          : T

type Replace<T, By> = Omit<T, keyof By> & By
type Flat<T> = { [Key in keyof T]: T[Key] }
type Require<T, Key extends keyof T> = Omit<T, Key> & { [K in Key]-?: T[K] }

// ── dashboards ───────────────────────────────────────────────────────────────────────────────────

/** The data source that somebody has chosen on top of the dashboard. */
type Source = { type: 'prometheus'; uid: '${datasource}' }
type Query = Flat<
  Replace<Require<Json<prometheus.Dataquery>, 'refId'>, { datasource: Source; legendFormat: string }>
>
type Unit = Extract<(typeof units)[keyof typeof units], string>
type Defaults<Custom> = Flat<Replace<Json<raw.FieldConfig>, { unit: Unit; custom?: Custom }>>

/** The schema leaves matchers open: these are those of fields, by their names. */
type Matcher = { id: 'byName'; options: string } | { id: 'byRegexp'; options: string }

/** An override names an option of the field's configuration, and gives it a value. */
type Property<Custom> =
  | { [Key in keyof Custom & string]: { id: `custom.${Key}`; value: NonNullable<Custom[Key]> } }[keyof Custom & string]
  | { [Key in Exclude<keyof raw.FieldConfig, 'custom' | 'unit'>]: { id: Key; value: NonNullable<Json<raw.FieldConfig>[Key]> } }[Exclude<keyof raw.FieldConfig, 'custom' | 'unit'>]
  | { id: 'unit'; value: Unit }

type Panel<Type extends string, Options, Custom> = Flat<
  Replace<
    Json<raw.Panel>,
    {
      id: number
      type: Type
      title: string
      description: string
      gridPos: Json<raw.GridPos>
      datasource: Source
      targets: Query[]
      options: Json<Options>
      fieldConfig: {
        defaults: Defaults<Json<Custom>>
        overrides: { matcher: Matcher; properties: Property<Required<Json<Custom>>>[] }[]
      }
    }
  >
>

/** Kinds without options of fields of their own. */
type NoCustom = Record<never, never>

type Kinds =
  | Panel<'barchart', barchart.Options, barchart.FieldConfig>
  | Panel<'bargauge', bargauge.Options, NoCustom>
  | Panel<'gauge', gauge.Options, NoCustom>
  | Panel<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | Panel<'stat', stat.Options, NoCustom>
  | Panel<'state-timeline', stateTimeline.Options, stateTimeline.FieldConfig>
  | Panel<'table', table.Options, table.FieldConfig>
  | Panel<'text', text.Options, NoCustom>
  | Panel<'timeseries', timeseries.Options, timeseries.FieldConfig>

type Row = Flat<Replace<Json<raw.RowPanel>, { title: string; gridPos: Json<raw.GridPos>; panels: Kinds[] }>>

/** The schema knows annotations of Grafana's own store alone: those of a data source ask it a query. */
type Annotation = Flat<
  Replace<
    Json<raw.AnnotationQuery>,
    {
      datasource: Source
      target: Flat<Replace<Query, { legendFormat?: string }>>
      titleFormat?: string
      textFormat?: string
      tagKeys?: string
    }
  >
>

/** What a query of a variable has been made from is kept beside it (`definition`), and not in the schema. */
type Variable = Flat<Json<raw.VariableModel> & { definition?: string }>

export type Dashboard = Flat<
  Replace<
    Json<raw.Dashboard>,
    {
      uid: string
      title: string
      annotations: { list: Annotation[] }
      templating: { list: Variable[] }
      panels: (Kinds | Row)[]
    }
  >
>

// ── what Grafana is provisioned by ───────────────────────────────────────────────────────────────

type DataSource = {
  orgId?: number
  version?: number
  name: string
  uid: string
  type: 'prometheus'
  access: 'proxy'
  url: string
  user?: string
  database?: string
  basicAuth?: boolean
  basicAuthUser?: string
  withCredentials?: boolean
  isDefault?: boolean
  editable?: boolean
  jsonData: {
    httpMethod?: 'POST' | 'GET'
    timeInterval: string
    queryTimeout?: string
    manageAlerts?: boolean
    prometheusType?: 'Prometheus' | 'Cortex' | 'Mimir' | 'Thanos'
    prometheusVersion?: string
    cacheLevel?: 'High' | 'Medium' | 'Low' | 'None'
    disableMetricsLookup?: boolean
    incrementalQuerying?: boolean
    incrementalQueryOverlapWindow?: string
    customQueryParameters?: string
    exemplarTraceIdDestinations?: { name: string; datasourceUid?: string; url?: string; urlDisplayLabel?: string }[]
    tlsAuth?: boolean
    tlsAuthWithCACert?: boolean
    tlsSkipVerify?: boolean
    serverName?: string
  }
  secureJsonData?: Record<string, string>
}

export type DataSources = {
  apiVersion: 1
  prune?: boolean
  deleteDatasources?: { name: string; orgId?: number }[]
  datasources: DataSource[]
}

export type DashboardProviders = {
  apiVersion: 1
  providers: {
    name: string
    orgId?: number
    type: 'file'
    folder?: string
    folderUid?: string
    disableDeletion?: boolean
    editable?: boolean
    updateIntervalSeconds?: number
    allowUiUpdates?: boolean
    options: { path: string; foldersFromFilesStructure?: boolean }
  }[]
}

type RuleQuery<Source extends string, Model> = Flat<
  Replace<
    Require<Json<Omit<alerting.Query, 'model'>>, 'refId'>,
    { datasourceUid: Source; model: Flat<Require<Json<Model>, 'refId' & keyof Json<Model>>> }
  >
>

/** What the API has of a rule, as files have it: the group says where it belongs, and two names differ. */
type Rule = Flat<
  Replace<
    Omit<
      Json<alerting.Rule>,
      'id' | 'updated' | 'provenance' | 'orgID' | 'folderUID' | 'ruleGroup' | 'keep_firing_for' | 'missingSeriesEvalsToResolve' | 'record'
    >,
    {
      uid: string
      labels: { severity: 'info' | 'warning' | 'critical' }
      annotations: { summary: string; description: string; runbook_url: string }
      keepFiringFor?: string
      missing_series_evals_to_resolve?: number
      dashboardUid?: string
      panelId?: number
      data: (RuleQuery<'prometheus', prometheus.Dataquery> | RuleQuery<'__expr__', expr.TypeThreshold>)[]
    }
  >
>

export type AlertRules = {
  apiVersion: 1
  groups: { orgId: number; name: string; folder: string; interval: string; rules: Rule[] }[]
  deleteRules?: { orgId: number; uid: string }[]
}
